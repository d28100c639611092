"""Settings: what is learned. One file per setting, listed here."""

from mtl_core.errors import unknown
from mtl_core.settings import digits, fashion
from mtl_core.settings.base import DataState, Preset, Setting, Split, Task, TaskData

__all__ = ["DataState", "Preset", "Setting", "Split", "Task", "TaskData", "get", "names"]

_SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        digits.SETTING,
        fashion.SETTING,
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
