"""The settings that there are, and what holds for each."""

from dataclasses import replace

import pytest

from mtl_core import InputError, RunConfig, settings


def test_names_lead_to_settings_and_the_embedded_one_is_first() -> None:
    assert settings.names()[0] == "digits"
    for name in settings.names():
        assert settings.get(name).name == name


@pytest.mark.parametrize("name", ["digit", "", None, 3, [], {}])
def test_unknown_setting(name: object) -> None:
    with pytest.raises(InputError) as caught:
        settings.get(name)  # type: ignore[arg-type]
    assert str(caught.value) == f"unknown setting {name!r}; one of: {', '.join(settings.names())}"


@pytest.mark.parametrize("name", settings.names())
def test_a_setting_is_consistent(name: str) -> None:
    setting = settings.get(name)
    tasks = [task.name for task in setting.tasks]
    assert len(set(tasks)) == len(tasks)
    assert setting.task(setting.default_target).name == setting.default_target
    assert set(setting.presets) == {"quick", "standard", "paper"}
    for preset in setting.presets:
        for target in tasks:
            config = RunConfig.from_preset(name, preset, target=target)
            assert config.target == target
            assert config.epochs == setting.preset(preset).epochs


@pytest.mark.parametrize("name", settings.names())
def test_unknown_task_and_preset(name: str) -> None:
    setting = settings.get(name)
    first = setting.tasks[0].name
    with pytest.raises(InputError, match=f"^unknown task of {name} 'nope'; one of: {first}, "):
        setting.task("nope")
    with pytest.raises(
        InputError, match=f"^unknown preset of {name} 'nope'; one of: quick, standard, paper$"
    ):
        setting.preset("nope")
    with pytest.raises(InputError, match="unknown preset"):
        setting.preset([])  # type: ignore[arg-type]


def test_presets_take_as_many_steps_of_apgd_as_lose_little_of_sharpness() -> None:
    """Of what was measured: under half a per cent, on ResNets by 17 steps of the paper's 20."""
    for name in settings.names():
        for preset in settings.get(name).presets:
            config = RunConfig.from_preset(name, preset)
            assert config.apgd_lost is None or config.apgd_lost <= 0.5
            if settings.get(name).batch_norm:
                assert config.apgd_steps == (20 if preset == "paper" else 17)
    resnet = RunConfig.from_preset("cifar100", "quick")
    assert replace(resnet, apgd_steps=3).apgd_lost == replace(resnet, apgd_steps=16).apgd_lost == 7
    assert replace(resnet, apgd_steps=2).apgd_lost is None
    assert replace(resnet, sharpness_rho=0.01).apgd_lost is None, "measured at the paper's alone"
