"""What a multi-task optimizer is: a rule that weights task gradients, and its state in a run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mtl_core.errors import InputError, quoted

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["SCALE", "Draws", "Method", "Numbers", "Option", "OptionValue", "Rule", "Step"]

OptionValue = bool | int | float | str
State = dict[str, "Tensor"]

Numbers = Callable[[str, tuple[int, ...]], "Tensor"]
"""A step's random numbers from elsewhere than generators, such as a buffer that was filled ahead:
``rand`` or ``randn`` and a shape -> (N, *shape), float64, on the replicas' device."""


@dataclass(frozen=True)
class Option:
    """A number or word that a method lets its user choose.

    Args:
        default: the paper's value; its type is the option's type.
        about: one sentence for the page.
        choices: the words that it may be; none for numbers.
        least, most: bounds that it may reach.
        below: a bound that it may not reach.
    """

    name: str
    default: OptionValue
    about: str
    choices: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def check(self, method: str, value: object, *, kind: str = "optimizer") -> OptionValue:
        """``value`` in the option's type. Raises InputError for one that it may not have.

        Args:
            kind: what ``method`` is, in a word, for messages.
        """
        name = f"option {self.name!r} of {kind} {method!r}"
        if self.choices:
            if value not in self.choices:
                raise InputError(
                    f"{name} is {quoted(value)}, not one of: {', '.join(self.choices)}"
                )
            return str(value)
        wanted = type(self.default)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < 2**53 else value
        if type(value) is not wanted:
            words = {bool: "true or false", int: "a whole number", float: "a number"}
            raise InputError(f"{name} is {quoted(value)}, not {words.get(wanted, 'a word')}")
        if isinstance(value, (int, float)) and not (
            math.isfinite(value) and self.least <= value <= self.most and value < self.below
        ):
            raise InputError(f"{name} is {quoted(value)}, but must be {self._range()}")
        return value

    def parse(self, method: str, text: str) -> OptionValue:
        """The value that a text means. Raises InputError."""
        kind = type(self.default)
        if kind is bool:
            return self.check(method, {"true": True, "false": False}.get(text, text))
        if kind is str or len(text) > 30:
            return self.check(method, text)
        try:
            return self.check(method, kind(text))
        except ValueError as error:
            raise (
                error
                if isinstance(error, InputError)
                else InputError(
                    f"option {self.name!r} of optimizer {method!r} is {quoted(text)}, not a "
                    f"{'whole ' if kind is int else ''}number"
                )
            ) from None

    def _range(self) -> str:
        words = []
        if self.least > -math.inf:
            words.append(f"at least {self.least:g}")
        if self.most < math.inf:
            words.append(f"at most {self.most:g}")
        if self.below < math.inf:
            words.append(f"below {self.below:g}")
        return " and ".join(words) or "finite"


SCALE = Option(
    "scale",
    "raw",
    "raw leaves the update as long as the method makes it; match_sum gives it the length of the "
    "sum of task gradients, so that a method is not also a change of learning rate.",
    choices=("raw", "match_sum"),
)
"""The option that every method has."""


@dataclass(frozen=True)
class Draws:
    """The random numbers of one step: from one generator, or from one for each replica.

    Draws of a replica with a generator of its own do not depend on the replicas beside it.

    Args:
        numbers: where they come from in place of the generators.
    """

    generators: "Sequence[Generator]"
    like: "Tensor"
    numbers: Numbers | None = None

    def uniform(self, *shape: int) -> "Tensor":
        """(N, *shape) in [0, 1), float64."""
        return self.draw("rand", shape)

    def normal(self, *shape: int) -> "Tensor":
        """(N, *shape) of mean 0 and variance 1, float64."""
        return self.draw("randn", shape)

    def draw(self, kind: str, shape: tuple[int, ...]) -> "Tensor":
        """``rand``, which is uniform, or ``randn``, which is normal, as (N, *shape)."""
        if self.numbers is not None:
            return self.numbers(kind, shape)
        import torch

        draw = partial(getattr(torch, kind), dtype=torch.float64)
        if len(self.generators) == 1:
            source = self.generators[0]
            found = draw((len(self.like), *shape), generator=source, device=source.device)
        else:
            drawn = [draw(shape, generator=one, device=one.device) for one in self.generators]
            found = torch.stack(drawn)
        return found.to(self.like.device)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Step:
    """What a rule sees of a step, for N replicas at once; everything is float64.

    Args:
        gramian: (N, K, K) inner products of the task gradients; None unless the rule needs them.
            Of a rule with ``last_layer``, those of the last shared layer's parameters.
        losses: (N, K).
        options: checked values of all of the rule's options.
        state: name -> (N, ...) tensors that live as long as the run; empty in its first step.
        draws: every random number comes from here.
        epsilon: that of the type in which the Gramian was computed.
        static: whether nothing may wait for the host, see ``Method.static``.
    """

    gramian: "Tensor | None"
    losses: "Tensor"
    options: Mapping[str, Any]
    state: State
    draws: Draws
    epsilon: float = 2.0**-52
    static: bool = False

    @property
    def gram(self) -> "Tensor":
        """The Gramian of a rule that needs it."""
        assert self.gramian is not None
        return self.gramian

    @property
    def rounding(self) -> float:
        """Eigenvalues of the gradients' cosines up to this share of the largest may be zeros.

        K epsilon is usual; 10 times that is what sums over 300 000 float32 parameters need.
        """
        return 10 * self.losses.shape[-1] * self.epsilon


@dataclass(frozen=True)
class Rule:
    """A multi-task optimizer: pure functions of a step and of the run's state.

    Args:
        title: its name in the field.
        about: one sentence for the page.
        source: paper, and the equation or algorithm.
        weights: step -> (N, K), the weights of the task gradients.
        update: step, (N, K, P) Jacobian -> (N, P); in place of ``weights``.
        options: in addition to ``scale``, which all rules have.
        needs_gramian: whether ``weights`` reads the Gramian.
        last_layer: whether that Gramian is the last shared layer's alone.
        random: whether it draws random numbers.
        constant: whether its weights are the same in every step of every run.
        observe: for a rule that learns from a step's outcome: called with the losses of the same
            batches after the step.
        same_as_sum: when its update is the sum itself, as a sentence for the page.
        end_epoch: for a rule that works by epochs: called with the state at the end of each.
        on_host: why its step needs the host, so that it cannot be captured in a CUDA graph, as a
            clause; none where it does not.
        closed_forms: numbers of tasks with which it does not, all the same.
    """

    title: str
    about: str
    source: str
    weights: "Callable[[Step], Tensor] | None" = None
    update: "Callable[[Step, Tensor], Tensor] | None" = None
    options: tuple[Option, ...] = ()
    needs_gramian: bool = False
    last_layer: bool = False
    random: bool = False
    constant: bool = False
    observe: Callable[[Step], None] | None = None
    end_epoch: "Callable[[State], None] | None" = None
    same_as_sum: str = ""
    on_host: str = ""
    closed_forms: tuple[int, ...] = ()


class Method:
    """A rule in use: its options, and the state of one run.

    Args:
        name: the rule's key in the registry.
        rule: what it does.
        num_tasks: K.
        options: values that differ from the defaults.

    Attributes:
        state: name -> tensors with the replicas' leading dimension, flattened; empty before the
            first step. Replacing it resumes a run; ``reset`` starts one afresh.
        static: whether its steps are to be the same operations whatever the numbers, without
            waiting for the host. Numbers are equal to within rounding; on a CPU it takes longer.

    Raises:
        InputError: for an unknown option, or one out of its range.
    """

    def __init__(
        self, name: str, rule: Rule, num_tasks: int, options: Mapping[str, OptionValue]
    ) -> None:
        if isinstance(num_tasks, bool) or not isinstance(num_tasks, int) or num_tasks < 1:
            raise InputError(f"number of tasks {quoted(num_tasks)} is not a whole number above 0")
        known = {option.name: option for option in (*rule.options, SCALE)}
        for given in options:
            if given not in known:
                raise InputError(
                    f"unknown option {quoted(given)} of optimizer {name!r}; "
                    f"one of: {', '.join(known)}"
                )
        chosen = {
            key: option.check(name, options.get(key, option.default))
            for key, option in known.items()
        }
        self.name = name
        self.rule = rule
        self.num_tasks = num_tasks
        self.options: Mapping[str, OptionValue] = MappingProxyType(chosen)
        self.state: State = {}
        self.static = False
        self._own_generator: Generator | None = None

    @property
    def needs_gramian(self) -> bool:
        """Whether ``weights`` reads the Gramian; where it does not, no Jacobian is formed."""
        return (self.rule.needs_gramian and not self.rule.last_layer) or (
            self._matches_sum and not self.needs_jacobian
        )

    @property
    def needs_last_layer(self) -> bool:
        """Whether ``weights`` reads the Gramian of the last shared layer."""
        return self.rule.last_layer

    @property
    def needs_jacobian(self) -> bool:
        """Whether it is not a weighting: ``update`` is to be called in place of ``weights``."""
        return self.rule.update is not None

    @property
    def needs_losses_after(self) -> bool:
        """Whether ``observe`` is to be called after each step."""
        return self.rule.observe is not None

    @property
    def constant(self) -> bool:
        """Whether its weights never change."""
        return self.rule.constant

    @property
    def random(self) -> bool:
        """Whether its weights depend on the generator."""
        return self.rule.random

    @property
    def on_host(self) -> str:
        """Why its steps need the host even where ``static``, as a clause; "" where they do not."""
        return "" if self.num_tasks in self.rule.closed_forms else self.rule.on_host

    def weights(
        self,
        gramian: "Tensor | None",
        losses: "Tensor",
        generator: "Generator | Sequence[Generator] | Numbers | None" = None,
        *,
        last_layer: "Tensor | None" = None,
    ) -> "Tensor":
        """Weights of this step; the run's state moves on.

        Args:
            gramian: (..., K, K) inner products of the task gradients of the shared parameters;
                None where ``needs_gramian`` is False.
            losses: (..., K) task losses of the step's batches.
            generator: source of every random choice, or one for each replica, or the numbers
                themselves; default one of the method's own, seeded with 0.
            last_layer: (..., K, K) inner products of the gradients of the last shared layer's
                parameters, where ``needs_last_layer``; default ``gramian``.

        Returns:
            (..., K); the shared update is Σ_k weights[k] · grad_k. NaN for replicas whose input
            is not finite.

        Raises:
            InputError: for a method that is not a weighting, a missing Gramian, or wrong shapes.
        """
        if self.rule.weights is None:
            raise InputError(
                f"optimizer {self.name!r} is not a weighting of task gradients; call update with "
                "their Jacobian"
            )
        own = last_layer if self.rule.last_layer and last_layer is not None else gramian
        if self.rule.needs_gramian and own is None:
            raise InputError(f"optimizer {self.name!r} needs the Gramian of the task gradients")
        if self._matches_sum and gramian is None:
            raise InputError("scale 'match_sum' needs the Gramian of the task gradients")
        self._check(losses, gramian, last_layer)
        if losses.numel() == 0:
            return losses.new_zeros(losses.shape)
        step, spoiled = self._step(own if self.rule.needs_gramian else None, losses, generator)
        found = self.rule.weights(step)
        if self._matches_sum:
            import torch

            assert gramian is not None
            full = gramian.detach().double().reshape(-1, self.num_tasks, self.num_tasks)
            ours = (found.unsqueeze(-2) @ full @ found.unsqueeze(-1)).flatten()
            # What is left of gradients that cancel is rounding, and no direction to go in.
            size = (found.abs() * full.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()).sum(dim=1)
            rounding = min(self.num_tasks, 10) * torch.finfo(gramian.dtype).eps
            least = rounding * size.square()
            ours = ours.where(ours > least, 0.0)
            found = found * _ratio(full.sum(dim=(1, 2)), ours).unsqueeze(-1)
        found = found + spoiled
        return found.to(losses.dtype).view(losses.shape)

    def update(
        self,
        jacobian: "Tensor",
        losses: "Tensor",
        generator: "Generator | Sequence[Generator] | Numbers | None" = None,
    ) -> "Tensor":
        """The shared update itself, where ``needs_jacobian``.

        Args:
            jacobian: (..., K, P) task gradients of the shared parameters.
            losses, generator: as of ``weights``.

        Returns:
            (..., P)

        Raises:
            InputError: for a method that is a weighting, or wrong shapes.
        """
        if self.rule.update is None:
            raise InputError(f"optimizer {self.name!r} is a weighting; call weights instead")
        if jacobian.shape[:-1] != losses.shape:
            raise InputError(
                f"Jacobian of shape {tuple(jacobian.shape)} does not belong to losses of shape "
                f"{tuple(losses.shape)}; it must be (..., K, P) for losses (..., K)"
            )
        self._check(losses)
        rows = jacobian.detach().reshape(-1, *jacobian.shape[-2:])
        step, _ = self._step(None, losses, generator)
        found = self.rule.update(step, rows)
        if self._matches_sum:
            wanted = rows.sum(dim=1).double().square().sum(dim=-1)
            ours = found.double().square().sum(dim=-1)
            found = found * _ratio(wanted, ours).to(found.dtype).unsqueeze(-1)
        return found.view(*jacobian.shape[:-2], jacobian.shape[-1])

    def observe(self, losses: "Tensor") -> None:
        """Learn from (..., K) losses of a step's batches after the step; a no-op for most."""
        if self.rule.observe is not None:
            self._check(losses)
            step, _ = self._step(None, losses, None)
            self.rule.observe(step)

    def end_epoch(self) -> None:
        """Say that an epoch of the target task is over; a no-op for most."""
        if self.rule.end_epoch is not None:
            self.rule.end_epoch(self.state)

    def reset(self) -> None:
        """Forget the run: the next step is a first step."""
        self.state = {}
        self._own_generator = None

    @property
    def _matches_sum(self) -> bool:
        return self.options["scale"] == "match_sum"

    def _step(
        self,
        gramian: "Tensor | None",
        losses: "Tensor",
        generator: "Generator | Sequence[Generator] | Numbers | None",
    ) -> "tuple[Step, Tensor]":
        """The rule's view of a step, and (N, 1): 0, or NaN where a replica's input is not finite.

        What is not finite is replaced, so that no solver stumbles over it; weights become NaN.
        """
        import torch

        tasks = self.num_tasks
        rows = losses.detach().double().reshape(-1, tasks)
        spoiled = (rows - rows).sum(dim=1, keepdim=True)
        epsilon = 2.0**-52
        if gramian is not None:
            epsilon = torch.finfo(gramian.dtype).eps
            gramian = gramian.detach().double().reshape(-1, tasks, tasks)
            gramian = (gramian + gramian.mT).mul_(0.5)
            spoiled = spoiled + (gramian - gramian).flatten(1).sum(dim=1, keepdim=True)
        # On a GPU the question costs more than replacing, on a CPU less. NaN is not 0.
        if self.static or rows.is_cuda or spoiled.any():
            sound = spoiled == 0
            rows = rows.where(sound, 1.0)
            if gramian is not None:
                eye = torch.eye(tasks, dtype=gramian.dtype, device=gramian.device)
                gramian = gramian.where(sound.unsqueeze(2), eye)
        if callable(generator):
            draws = Draws([], rows, generator)
        else:
            draws = Draws(self._generators(generator, len(rows)), rows)
        step = Step(gramian, rows, self.options, self.state, draws, epsilon, self.static)
        return step, spoiled

    def _generators(
        self, generator: "Generator | Sequence[Generator] | None", replicas: int
    ) -> "Sequence[Generator]":
        import torch

        if generator is None:
            if self._own_generator is None:
                self._own_generator = torch.Generator().manual_seed(0)
            return [self._own_generator]
        if isinstance(generator, torch.Generator):
            return [generator]
        if len(generator) != replicas:
            raise InputError(
                f"{len(generator)} generators for {replicas} replicas; pass one for all, or one "
                "for each"
            )
        return generator

    def _check(self, losses: "Tensor", *gramians: "Tensor | None") -> None:
        tasks = self.num_tasks
        if losses.ndim == 0 or losses.shape[-1] != tasks:
            raise InputError(
                f"losses of shape {tuple(losses.shape)} are not those of {tasks} tasks; they must "
                f"be (..., {tasks})"
            )
        for gramian in gramians:
            if gramian is not None and gramian.shape != (*losses.shape, tasks):
                raise InputError(
                    f"Gramian of shape {tuple(gramian.shape)} does not belong to losses of shape "
                    f"{tuple(losses.shape)}; it must be {(*losses.shape, tasks)}"
                )


def _ratio(wanted: "Tensor", ours: "Tensor") -> "Tensor":
    """The factor from one squared length to another; 1 where ours has no length to scale."""
    ratio = (wanted.clamp_min(0) / ours).sqrt()
    return ratio.where(ours > 0, 1.0)
