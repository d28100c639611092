"""Explaining: why factors can explain some differences, or cannot, in the words of the pages."""

from collections.abc import Sequence

from mtl_core.analysis import Comparison, FactorVerdict
from mtl_core.views.phrases import escaped, family, listed, title

__all__ = ["reason", "shared"]

OUTCOMES = {
    "can explain": "**{}** can explain all of them",
    "moves the other way": "against at least one of them moves **{}**",
    "no change found": "no change was found that would rule out **{}**",
    "not enough to tell": "too little is known of **{}**",
}


def reason(
    moved: Sequence[Comparison | None],
    verdicts: Sequence[FactorVerdict],
    one: str = "transfer",
    many: str = "transfers",
) -> str:
    """Why factors can explain some differences, or cannot, or cannot be told to, in a sentence.

    Args:
        moved: the differences, judged together.
        one: what a difference is called.
        many: several of them.
    """
    known = [each for each in moved if each is not None]
    significant = [each for each in known if each.significant]
    judged = family(max((each.family for each in known), default=0))
    if not known:
        return f"There is no {one} to explain."
    if not significant:
        if len(known) == 1:
            return f"The one {one} here is not significant, so there is nothing to explain."
        return (
            f"None of the {len(known)} {many} here is significant{judged}, so there is nothing to "
            "explain."
        )
    gains = sum(each.verdict == "better" for each in significant)
    said = (
        f"{len(significant)} of {len(known)} {one if len(known) == 1 else many} "
        f"{'is' if len(significant) == 1 else 'are'} significant{judged}, {gains} better and "
        f"{len(significant) - gains} worse"
    )
    if missing := shared(verdicts):
        return f"{said}; missing for an answer: {escaped('; '.join(missing))}."
    by: dict[str, list[str]] = {}
    for found in verdicts:
        by.setdefault(found.outcome, []).append(title(found.factor))
    told = [words.format(listed(by[name])) for name, words in OUTCOMES.items() if name in by]
    return f"{said}; {'; '.join(told)}."


def shared(verdicts: Sequence[FactorVerdict]) -> list[str]:
    """What is missing for an outcome of any factor."""
    first, *others = verdicts
    return [each for each in first.missing if all(each in found.missing for found in others)]
