"""BibTeX of the papers behind a figure: the app's two, those of its optimizers and predictors."""

import re
import unicodedata
from collections.abc import Sequence

from mtl_core import optimizers

__all__ = ["FORETELLING", "FRONTS", "TRANSFER", "bibtex"]

TRANSFER = """\
@misc{mueller2024trajectories,
  author = {David Mueller and Mark Dredze and Nicholas Andrews},
  title = {Can Optimization Trajectories Explain Multi-Task Transfer?},
  year = {2024},
  eprint = {2408.14677},
  archivePrefix = {arXiv}
}
"""
FRONTS = """\
@misc{bai2024mt2o,
  author = {Lu Bai and Abhishek Gupta and Yew-Soon Ong},
  title = {Multi-Task Learning with Multi-Task Optimization},
  year = {2024},
  eprint = {2403.16162},
  archivePrefix = {arXiv}
}
"""
LOOK_AHEAD = """\
@inproceedings{fifty2021groupings,
  author = {Christopher Fifty and Ehsan Amid and Zhe Zhao and Tianhe Yu and Rohan Anil and
    Chelsea Finn},
  title = {Efficiently Identifying Task Groupings for Multi-Task Learning},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {34},
  year = {2021},
  eprint = {2109.04617},
  archivePrefix = {arXiv}
}
"""
LABEL_ENTROPY = """\
@inproceedings{martinezalonso2017multitask,
  author = {H{\\'e}ctor {Mart{\\'i}nez Alonso} and Barbara Plank},
  title = {When is multitask learning effective? Semantic sequence prediction under varying data
    conditions},
  booktitle = {Proceedings of the 15th Conference of the European Chapter of the Association for
    Computational Linguistics (EACL)},
  year = {2017},
  eprint = {1612.02251},
  archivePrefix = {arXiv}
}
"""
FORETELLING = "\n".join([TRANSFER, LOOK_AHEAD, LABEL_ENTROPY])
"""Of a race, beside which the cheap predictors stand."""
_SOURCE = re.compile(
    r"^(?P<who>[^\d;]+?) (?P<year>(?:19|20)\d\d)"
    r"(?: \(arXiv (?P<arxiv>[\d.]+)\))?(?:, (?P<title>[^,]+))?"
)
_NO_TITLE = re.compile(r"^(Algorithm|Eq\.|Claim|Proposition|§)")


def bibtex(names: Sequence[str] = (), *, paper: str = TRANSFER) -> str:
    """Entries for a paper of the app and for the optimizers' own, in this order, each once.

    An optimizer's entry says what its file does: first authors, year, and title or arXiv number.
    """
    entries = [paper]
    for name in names:
        for source in optimizers.rule(name).source.split("; "):
            entry = _entry(optimizers.rule(name).title, source)
            if entry and entry not in entries:
                entries.append(entry)
    return "\n".join(entries)


def _entry(method: str, source: str) -> str | None:
    found = _SOURCE.match(source)
    if found is None:
        return None  # the paper's own
    who, year, arxiv = found["who"], found["year"], found["arxiv"]
    title = found["title"] if found["title"] and not _NO_TITLE.match(found["title"]) else None
    authors = re.split(r", | & ", who.removesuffix(" et al."))
    lines = [f"  author = {{{' and '.join([*authors, *_others(who)])}}}"]
    lines.append(f"  title = {{{{{title}}}}}" if title else f"  note = {{{method}}}")
    lines.append(f"  year = {{{year}}}")
    if arxiv:
        lines += [f"  eprint = {{{arxiv}}}", "  archivePrefix = {arXiv}"]
    key = f"{_plain(authors[0])}{year}{_plain(title or method)}"
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}\n"


def _others(who: str) -> list[str]:
    return ["others"] if who.endswith("et al.") else []


def _plain(text: str) -> str:
    """Its first word in small letters of the Latin alphabet, for a key."""
    word = text.split()[0]
    letters = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", letters.lower())
