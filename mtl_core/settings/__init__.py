"""Settings: what is learned. One file per setting, listed here; users' own data come after."""

from mtl_core.errors import InputError, quoted, unknown
from mtl_core.settings import (
    celeba,
    cifar100,
    cityscapes,
    digits,
    fashion,
    glue,
    mnists,
    own,
    synthetic,
)
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
    "is_own",
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
    """All settings, the embedded default first and the users' own last."""
    return [*_SETTINGS, *own.names()]


def is_own(name: object) -> bool:
    """Whether a name is that of a user's own data, which no paper has numbers of."""
    return own.is_name(name)


def get(name: str) -> Setting:
    """The setting called ``name``; raises InputError with the ones there are."""
    try:
        return _SETTINGS[name]
    except (KeyError, TypeError):
        found = own.find(name)
    if found is not None:
        return found
    if own.is_name(name):
        raise InputError(
            f"nothing is known here of the own data {quoted(name)}; add the table that it was made "
            "of (Library, Add data), or import runs on it"
        )
    raise unknown("setting", name, _SETTINGS)
