"""Settings: what is learned. One file per setting, listed here."""

from mtl_core.errors import unknown
from mtl_core.settings import celeba, cifar100, cityscapes, digits, fashion, glue, mnists, synthetic
from mtl_core.settings.base import (
    DataState,
    Preset,
    Relatedness,
    Setting,
    Split,
    Stamp,
    Task,
    TaskData,
)

__all__ = [
    "DataState",
    "Preset",
    "Relatedness",
    "Setting",
    "Split",
    "Stamp",
    "Task",
    "TaskData",
    "get",
    "names",
]

_SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        digits.SETTING,
        fashion.SETTING,
        mnists.SETTING,
        cifar100.SETTING,
        celeba.SETTING,
        cityscapes.SETTING,
        glue.SETTING,
        synthetic.SETTING,
    )
}


def names() -> list[str]:
    """All settings, the embedded default first."""
    return list(_SETTINGS)


def get(name: str) -> Setting:
    """The setting called ``name``; raises InputError with the ones there are."""
    try:
        return _SETTINGS[name]
    except (KeyError, TypeError):
        raise unknown("setting", name, _SETTINGS) from None
