"""A pretrained transformer from a folder on this machine: its tokens and its encoder.

Meant for RoBERTa-base (Liu et al. 2019); any encoder of Hugging Face's ``transformers`` with
weights in safetensors can stand in, such as MiniLM (Wang et al. 2020). Nothing is fetched, no
pickle is read, no code is run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl_core.errors import DataMissing, InputError

__all__ = ["Encoder", "padded", "tokens"]

_CHUNK = 4096  # texts tokenised at a time


class Encoder(nn.Module):
    """Tokens (N, L) to the last hidden state of the first, ``<s>`` or ``[CLS]``: (N, F).

    Which tokens are padding follows from their id. All are of token type 0, as RoBERTa's are: what
    stands between two texts tells them apart. The transformer stays in evaluation mode even in
    training, on purpose: without dropout a run is a function of its seed and nothing else. Its
    pooler is left out, since no task would train it.

    Args:
        folder: of the model: ``config.json`` and ``model.safetensors``.

    Raises:
        DataMissing: when the package ``transformers`` cannot be imported.
        InputError: when the folder holds something else.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        transformers = _transformers()
        # The library draws a pooler at random; a run's own numbers must not depend on that.
        with _readable(folder), _quiet(transformers), torch.random.fork_rng(devices=[]):
            model, found = transformers.AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation="eager",
                output_loading_info=True,
            )
        absent = [name for name in found["missing_keys"] if not name.startswith("pooler.")]
        if absent:
            raise InputError(f"{folder} has no weights of {sorted(absent)[0]}; copy the model anew")
        model.pooler = None
        self.features = int(model.config.hidden_size)
        self.pad = _pad(model.config, folder)
        self.model = model.float()
        self.train(self.training)

    def train(self, mode: bool = True) -> "Encoder":
        """Without effect: the transformer has no dropout in any mode."""
        super().train(mode)
        self.model.eval()
        return self

    def lengths(self, tokens: Tensor) -> Tensor:
        """(..., L), padded at the end -> (...), the tokens of each before its padding.

        ``training.padding`` cuts batches by it. A text may name the token for padding itself, so
        its last other one counts.
        """
        places = torch.arange(1, tokens.shape[-1] + 1, device=tokens.device)
        return ((tokens != self.pad) * places).amax(dim=-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (N, L), padded at the end -> (N, features)."""
        mask = _additive_mask(tokens != self.pad, self.model.dtype)
        found = self.model(input_ids=tokens, attention_mask=mask)
        features: Tensor = found.last_hidden_state[:, 0]
        return features


def tokens(
    folder: Path, first: Sequence[str], second: Sequence[str] | None, most: int
) -> list[NDArray[np.int32]]:
    """Token ids of N texts or pairs of texts, special ones included, each at most ``most``.

    Raises:
        DataMissing: when the package ``transformers`` cannot be imported.
        InputError: when the folder's tokenizer cannot be read or does not belong to its model.
    """
    transformers = _transformers()
    with _readable(folder), _quiet(transformers):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    pad = _pad(config, folder)
    if tokenizer.pad_token_id != pad or len(tokenizer) > config.vocab_size:
        raise InputError(
            f"the tokenizer in {folder} pads with {tokenizer.pad_token_id} and knows "
            f"{len(tokenizer)} tokens, its model pads with {pad} and knows {config.vocab_size}; "
            "copy both from one model"
        )
    # RoBERTa counts positions from one after the padding's.
    positions = getattr(config, "max_position_embeddings", most + pad + 1)
    most = min(most, tokenizer.model_max_length, positions - pad - 1)
    ids: list[NDArray[np.int32]] = []
    for start in range(0, len(first), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        pairs = None if second is None else list(second[chunk])
        found = tokenizer(list(first[chunk]), pairs, truncation=True, max_length=most)
        ids += [np.array(row, dtype=np.int32) for row in found["input_ids"]]
    return ids


def padded(ids: Sequence[NDArray[np.int32]], length: int, folder: Path) -> NDArray[np.int64]:
    """(N, length), filled up with the model's id for padding."""
    transformers = _transformers()
    with _readable(folder):
        pad = _pad(transformers.AutoConfig.from_pretrained(folder, local_files_only=True), folder)
    table = np.full((len(ids), length), pad, dtype=np.int64)
    for row, found in zip(table, ids, strict=True):
        row[: len(found)] = found
    return table


def _additive_mask(real: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, L) -> (N, 1, 1, L): what attention adds to its scores; never infinite.

    The library takes a mask of four dimensions as it is. Of one with two it would inspect the
    values, which ``torch.func.vmap`` does not allow.
    """
    return torch.where(real, 0.0, torch.finfo(dtype).min).to(dtype)[:, None, None, :]


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise DataMissing(
            f"the package transformers cannot be imported ({error}); install it anew"
        ) from None
    return transformers


def _pad(config: Any, folder: Path) -> int:
    if config.pad_token_id is None:
        raise InputError(f"the model in {folder} names no token for padding; take another encoder")
    return int(config.pad_token_id)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """What the library says of a folder that it cannot read, in one line."""
    try:
        yield
    except Exception as error:  # OSError, ValueError, KeyError, safetensors' own, and more
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{folder} is not a model of transformers with safetensors and a tokenizer ({reason})"
        ) from error


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No bars and no report of weights that are left out on purpose."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
