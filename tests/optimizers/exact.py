"""What defines each method, in numbers of 50 digits: no solver in floating point is trusted here.

Closed forms and recurrences are computed as the papers have them. Where weights are the minimiser
of a convex problem, a guess of which bounds hold gives a linear system, and the solution counts
only if it satisfies the problem's conditions to 40 digits.
"""

from collections.abc import Callable, Sequence

from mpmath import exp, log, lu_solve, matrix, mp, mpf, sqrt
from torch import Tensor

mp.dps = 50

Numbers = list[mpf]
Gramian = list[Numbers]

EXACT = mpf(10) ** -40


def numbers(values: Tensor) -> Numbers:
    """(K,), each exactly as it is."""
    return [mpf(value) for value in values.tolist()]


def gramian_of(values: Tensor) -> Gramian:
    """(K, K), each entry exactly as it is."""
    return [numbers(row) for row in values]


def dot(left: Sequence[mpf], right: Sequence[mpf]) -> mpf:
    return mp.fdot(left, right)


def times(gramian: Gramian, weights: Sequence[mpf]) -> Numbers:
    return [dot(row, weights) for row in gramian]


def lengths(gramian: Gramian) -> Numbers:
    return [sqrt(gramian[i][i]) for i in range(len(gramian))]


def solved(gramian: Gramian, kept: Sequence[int], *sides: Sequence[mpf]) -> list[Numbers]:
    """x with (Gx)_i = side_i for the kept tasks i and x_i = 0 for the others."""
    d = lengths(gramian)
    cosines = matrix([[gramian[i][j] / d[i] / d[j] for j in kept] for i in kept])
    found = []
    for side in sides:
        x = lu_solve(cosines, matrix([side[i] / d[i] for i in kept]))
        full = [mpf(0)] * len(gramian)
        for at, i in enumerate(kept):
            full[i] = x[at] / d[i]
        found.append(full)
    return found


def apart(found: Sequence[mpf], expected: Sequence[mpf]) -> mpf:
    """The largest relative error of a weight; one that is 0 must be 0."""
    return max(abs(f - e) / abs(e) if e else abs(f) for f, e in zip(found, expected, strict=True))


def settled(kept: list[int], step: Callable[[list[int]], tuple[Numbers, list[bool]]]) -> Numbers:
    """What ``step`` gives of the kept tasks once it finds none on the wrong side of its bound."""
    for _ in range(100):
        found, wrong = step(kept)
        if not any(wrong):
            return found
        kept = [i for i in range(len(wrong)) if (i in kept) != wrong[i]]
    raise AssertionError("no set of tasks satisfies the conditions")


# Weights as minimisers.


def shortest(gramian: Gramian, guess: Tensor) -> Numbers:
    """MGDA: the w on the simplex with the least wᵀGw. (Gw)_i ≥ wᵀGw, and equal where w_i > 0."""
    ones = [mpf(1)] * len(gramian)

    def step(kept: list[int]) -> tuple[Numbers, list[bool]]:
        (x,) = solved(gramian, kept, ones)
        w = [value / sum(x) for value in x]
        slope = times(gramian, w)
        level = dot(w, slope)
        d = lengths(gramian)
        return w, [
            w[i] < 0 if i in kept else slope[i] < level - EXACT * d[i] * sqrt(level)
            for i in range(len(w))
        ]

    return settled([i for i, value in enumerate(guess.tolist()) if value > 0], step)


def ball(gramian: Gramian, guess: Tensor, c: mpf) -> Numbers:
    """CAGrad: 1/K + ‖g_0‖·y, where y = cw/‖g_w‖ of the w on the simplex with the least
    bᵀw + c·‖g_w‖, and b_i = g_i·g_0/‖g_0‖. b + Gy ≥ v, and equal where w_i > 0; v makes ‖Jᵀy‖ = c.
    """
    tasks = len(gramian)
    ones = [mpf(1)] * tasks
    along = [sum(row) / tasks for row in gramian]
    mean = sqrt(sum(along) / tasks)
    b = [value / mean for value in along]

    def step(kept: list[int]) -> tuple[Numbers, list[bool]]:
        p, q = solved(gramian, kept, ones, b)
        root = sqrt(sum(q) ** 2 - sum(p) * (dot(b, q) - c * c))
        v = (sum(q) + root) / sum(p)
        y = [v * one - other for one, other in zip(p, q, strict=True)]
        slope = [one + other for one, other in zip(b, times(gramian, y), strict=True)]
        d = lengths(gramian)
        return [1 / mpf(tasks) + mean * value for value in y], [
            y[i] < 0 if i in kept else slope[i] < v - EXACT * d[i] for i in range(tasks)
        ]

    return settled(
        [i for i, value in enumerate(guess.tolist()) if value > (1 + 1e-12) / tasks], step
    )


def projected(gramian: Gramian, task: int, guess: Tensor) -> Numbers:
    """UPGrad's v ≥ u, u = 1 for one task and 0 for the others, with the least vᵀGv. Gv ≥ 0, and
    equal where v_i > u_i."""
    tasks = len(gramian)
    start = [-gramian[i][task] for i in range(tasks)]

    def step(kept: list[int]) -> tuple[Numbers, list[bool]]:
        x = solved(gramian, kept, start)[0] if kept else [mpf(0)] * tasks
        v = [value + (i == task) for i, value in enumerate(x)]
        slope = times(gramian, v)
        d = lengths(gramian)
        return v, [
            x[i] < 0 if i in kept else slope[i] < -EXACT * d[i] * d[task] for i in range(tasks)
        ]

    free = [value > (i == task) for i, value in enumerate(guess.tolist())]
    return settled([i for i in range(tasks) if free[i]], step)


def upgrad(gramian: Gramian, guesses: Tensor) -> Numbers:
    tasks = len(gramian)
    each = [projected(gramian, task, guesses[task]) for task in range(tasks)]
    return [sum(v[i] for v in each) / tasks for i in range(tasks)]


# Weights by an equation.


def bargained(gramian: Gramian, weights: Numbers, alpha: mpf) -> mpf:
    """FairGrad, Nash-MTL with α = 1: how far (Gw)_i · w_i^(1/α) is from 1."""
    along = times(gramian, weights)
    return max(abs(a * w ** (1 / alpha) - 1) for a, w in zip(along, weights, strict=True))


def fair(gramian: Gramian, guess: Numbers, alpha: mpf) -> Numbers:
    """The w > 0 with Gw = w^(−1/α), by Newton's method from a guess that is nearly right."""
    tasks, weights = range(len(gramian)), list(guess)
    while bargained(gramian, weights, alpha) > EXACT:
        push = [w ** (-1 / alpha) for w in weights]
        slope = [a - p for a, p in zip(times(gramian, weights), push, strict=True)]
        # For relative changes, in units of what each row is compared with.
        rows = [
            [(gramian[i][j] * weights[j] + (i == j) * push[i] / alpha) / push[i] for j in tasks]
            for i in tasks
        ]
        change = lu_solve(matrix(rows), matrix([s / p for s, p in zip(slope, push, strict=True)]))
        weights = [w * (1 - change[i]) for i, w in enumerate(weights)]
    return weights


def uneven(gramian: Gramian, weights: Numbers) -> mpf:
    """IMTL-G: how far the projections (Gα)_i / |g_i| are from one another, and Σα from 1."""
    along = [a / d for a, d in zip(times(gramian, weights), lengths(gramian), strict=True)]
    level = sum(along) / len(along)
    return max(abs(sum(weights) - 1), *(abs(a - level) / abs(level) for a in along))


def aligned(gramian: Gramian) -> Numbers:
    """Aligned-MTL: √λ_min V Λ^(−½) Vᵀ applied to 1/K each, where G = V Λ Vᵀ."""
    tasks = len(gramian)
    values, vectors = mp.eigsy(matrix(gramian))
    least = min(values)
    along = [sum(vectors[i, k] for i in range(tasks)) for k in range(tasks)]
    return [
        sum(vectors[i, k] * along[k] * sqrt(least / values[k]) for k in range(tasks)) / tasks
        for i in range(tasks)
    ]


# Weights by a recipe.


def without_conflict(gramian: Gramian, orders: Tensor) -> Numbers:
    """PCGrad, Algorithm 1."""
    tasks = len(gramian)
    total = [mpf(0)] * tasks
    for i, order in enumerate(orders.tolist()):
        own = [mpf(k == i) for k in range(tasks)]
        for j in order:
            inner = dot(own, gramian[j])
            if inner < 0:
                own[j] -= inner / gramian[j][j]
        total = [t + o for t, o in zip(total, own, strict=True)]
    return total


def vaccinated(
    gramian: Gramian, orders: Tensor, targets: list[Numbers], beta: mpf, steepest: mpf
) -> Numbers:
    """GradVac, Algorithm 1; ``targets`` move on."""
    tasks = len(gramian)
    total = [mpf(0)] * tasks
    for i, order in enumerate(orders.tolist()):
        own = [mpf(k == i) for k in range(tasks)]
        products = list(gramian[i])
        for j in order:
            length, other = sqrt(dot(own, products)), sqrt(gramian[j][j])
            cosine = products[j] / length / other
            goal = targets[i][j]
            aim = max(min(goal, steepest), -steepest)
            if cosine < aim:
                turn = length * (aim * sqrt(1 - cosine**2) - cosine * sqrt(1 - aim**2))
                turn /= other * sqrt(1 - aim**2)
                own[j] += turn
                products = [p + turn * g for p, g in zip(products, gramian[j], strict=True)]
            targets[i][j] = (1 - beta) * goal + beta * cosine
        total = [t + o for t, o in zip(total, own, strict=True)]
    return total


def softmax(values: Numbers) -> Numbers:
    powers = [exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


class Adam:
    """Kingma & Ba 2015, Algorithm 1."""

    def __init__(self, values: Numbers, lr: str, weight_decay: str = "0") -> None:
        self.values, self.lr, self.decay = values, mpf(lr), mpf(weight_decay)
        self.mean, self.square = [mpf(0)] * len(values), [mpf(0)] * len(values)
        self.steps = 0

    def step(self, gradient: Numbers) -> None:
        self.steps += 1
        slow, slower = mpf("0.9"), mpf("0.999")
        for k, plain in enumerate(gradient):
            g = plain + self.decay * self.values[k]
            self.mean[k] = slow * self.mean[k] + (1 - slow) * g
            self.square[k] = slower * self.square[k] + (1 - slower) * g * g
            mean = self.mean[k] / (1 - slow**self.steps)
            square = self.square[k] / (1 - slower**self.steps)
            self.values[k] -= self.lr * mean / (sqrt(square) + mpf("1e-8"))


def gradnorm(steps: Sequence[tuple[Gramian, Numbers]]) -> list[Numbers]:
    """Chen et al. 2018, Algorithm 1, α = 1.5: the weights of each step."""
    tasks = len(steps[0][1])
    learned = Adam([mpf(1)] * tasks, "0.025")
    found = []
    for gramian, losses in steps:
        found.append(list(learned.values))
        d = lengths(gramian)
        rates = [one / first for one, first in zip(losses, steps[0][1], strict=True)]
        mean_rate = sum(rates) / tasks
        pulls = [w * one for w, one in zip(learned.values, d, strict=True)]
        mean = sum(pulls) / tasks
        gradient = []
        for pull, rate, one in zip(pulls, rates, d, strict=True):
            target = mean * (rate / mean_rate) ** mpf("1.5")
            # Lengths of 1 and 1 + 2⁻⁵² are one by rounding, of which the sign is not followed.
            near = abs(pull - target) < mpf(10) ** -13 * target
            gradient.append(mpf(0) if near else one * mp.sign(pull - target))
        learned.step(gradient)
        total = sum(learned.values)
        learned.values = [w * tasks / total for w in learned.values]
    return found


def uncertainty(steps: Sequence[Numbers]) -> list[Numbers]:
    """Kendall et al. 2018, for classification: e^(−s), with s down e^(−s)·L + s/2."""
    learned = Adam([mpf(0)] * len(steps[0]), "1e-3")
    found = []
    for losses in steps:
        found.append([exp(-s) for s in learned.values])
        learned.step([mpf("0.5") - w * one for w, one in zip(found[-1], losses, strict=True)])
    return found


def imtl_l(steps: Sequence[Numbers]) -> list[Numbers]:
    """Liu et al. 2021: e^s, with s down e^s·L − s."""
    learned = Adam([mpf(0)] * len(steps[0]), "1e-3")
    found = []
    for losses in steps:
        found.append([exp(s) for s in learned.values])
        learned.step([w * one - 1 for w, one in zip(found[-1], losses, strict=True)])
    return found


def dwa(epochs: Sequence[Sequence[Numbers]]) -> list[Numbers]:
    """Liu, Johns & Davison 2019, Eq. 7, T = 2: the weights of each epoch."""
    tasks = len(epochs[0][0])
    means = [
        [sum(step[k] for step in epoch) / len(epoch) for k in range(tasks)] for epoch in epochs
    ]
    found = [[mpf(1)] * tasks] * min(2, len(epochs))
    for before, last in zip(means, means[1:], strict=False):
        ratios = [new / old / 2 for new, old in zip(last, before, strict=True)]
        found.append([tasks * share for share in softmax(ratios)])
    return found[: len(epochs)]


def famo(steps: Sequence[tuple[Numbers, Numbers]]) -> list[Numbers]:
    """Liu et al. 2023, Algorithm 1, from the losses before and after each step."""
    small = mpf("1e-8")
    learned = Adam([mpf(0)] * len(steps[0][0]), "0.025", "1e-3")
    found = []
    for before, after in steps:
        shares = softmax(learned.values)
        raw = [z / (one + small) for z, one in zip(shares, before, strict=True)]
        found.append([one / sum(raw) for one in raw])
        fell = [
            log(one + small) - log(other + small) for one, other in zip(before, after, strict=True)
        ]
        mean = dot(shares, fell)
        learned.step([z * (one - mean) for z, one in zip(shares, fell, strict=True)])
    return found


def dropped(gradients: Sequence[Numbers], draws: Numbers, leak: mpf) -> Numbers:
    """GradDrop, Algorithm 1: (K, P) -> (P,)."""
    found = []
    for column, draw in zip(zip(*gradients, strict=True), draws, strict=True):
        up, down = sum(g for g in column if g > 0), sum(g for g in column if g < 0)
        keep_up = (1 + sum(column) / sum(map(abs, column))) / 2 > draw
        found.append((up + leak * down) if keep_up else (leak * up + down))
    return found
