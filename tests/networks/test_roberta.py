"""The encoder from a model folder: its tokens, its values, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from mtl_core import InputError
from mtl_core.networks import roberta
from mtl_core.networks.roberta import Encoder, padded, tokens

transformers = pytest.importorskip("transformers")

PAD = 1
A = ["the cat sat on the mat", "no", "a mat"]
B = ["it was not them", "and the dogs barked", "!"]


@pytest.fixture
def folder(glue_encoder: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(glue_encoder, tmp_path / "model"))


@pytest.fixture
def batch(glue_encoder: Path) -> Tensor:
    """(3, 24) tokens, some of each row padding."""
    return torch.from_numpy(padded(tokens(glue_encoder, A, B, 128), 24, glue_encoder))


def test_tokens_are_the_tokenizers(glue_encoder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(glue_encoder)
    single, pairs = tokens(glue_encoder, A, None, 128), tokens(glue_encoder, A, B, 128)
    for ids, pair, a, b in zip(single, pairs, A, B, strict=True):
        assert ids.tolist() == tokenizer.encode(a)
        assert pair.tolist() == tokenizer.encode(a, b)
        assert tokenizer.convert_ids_to_tokens(ids.tolist())[0] == "<s>"
        # RoBERTa's pairs: <s> A </s></s> B </s>.
        assert pair.tolist() == [*ids.tolist(), 2, *tokenizer.encode(b)[1:]]


def test_what_is_too_long_is_cut(glue_encoder: Path) -> None:
    long = " ".join(A * 50)
    assert len(tokens(glue_encoder, [long], None, 128)[0]) == 128
    assert len(tokens(glue_encoder, [long], [long], 128)[0]) == 128
    assert len(tokens(glue_encoder, [long], None, 10)[0]) == 10
    # The model's own limit counts too; this one has 128 positions.
    assert len(tokens(glue_encoder, [long], None, 512)[0]) == 128


def test_a_model_of_few_positions_gets_few_tokens(folder: Path) -> None:
    for file, field, value in (
        ("config.json", "max_position_embeddings", 34),
        ("tokenizer_config.json", "model_max_length", 10**30),
    ):
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(content | {field: value}))
    assert len(tokens(folder, [" ".join(A * 50)], None, 128)[0]) == 32


def test_many_texts_are_tokenised_in_order(
    glue_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"the cat {number}" for number in range(11)]
    whole = tokens(glue_encoder, texts, texts[::-1], 128)
    monkeypatch.setattr(roberta, "_CHUNK", 3)
    parts = tokens(glue_encoder, texts, texts[::-1], 128)
    assert [ids.tolist() for ids in whole] == [ids.tolist() for ids in parts]


def test_padding_fills_up(glue_encoder: Path) -> None:
    table = padded([np.array([0, 5, 2], np.int32), np.array([0, 2], np.int32)], 4, glue_encoder)
    assert table.dtype == np.int64
    assert table.tolist() == [[0, 5, 2, PAD], [0, 2, PAD, PAD]]


def test_features_are_those_of_the_library(glue_encoder: Path, batch: Tensor) -> None:
    """The first token's last hidden state, with the mask that the tokenizer would give."""
    encoder = Encoder(glue_encoder)
    model = transformers.AutoModel.from_pretrained(glue_encoder).eval()
    expected = model(input_ids=batch, attention_mask=(batch != PAD).long()).last_hidden_state
    assert encoder.features == 32
    torch.testing.assert_close(encoder(batch), expected[:, 0], rtol=1e-4, atol=1e-5)


def test_more_padding_changes_nothing(glue_encoder: Path, batch: Tensor) -> None:
    encoder = Encoder(glue_encoder)
    longer = torch.cat([batch, torch.full((3, 40), PAD)], dim=1)
    torch.testing.assert_close(encoder(longer), encoder(batch), rtol=1e-5, atol=1e-6)
    other = torch.where(batch == PAD, 9, batch)
    assert (encoder(other) - encoder(batch)).abs().amax(dim=1).min() > 1e-3


def test_lengths_are_those_before_the_padding(glue_encoder: Path, batch: Tensor) -> None:
    encoder = Encoder(glue_encoder)
    expected = [len(ids) for ids in tokens(glue_encoder, A, B, 128)]
    assert encoder.lengths(batch).tolist() == expected
    assert encoder.lengths(batch.expand(2, 3, 24)).tolist() == [expected] * 2
    named = batch.clone()
    named[:, 2] = PAD  # a text that names the token itself
    assert encoder.lengths(named).tolist() == expected


def test_it_is_a_function_in_training_too(glue_encoder: Path, batch: Tensor) -> None:
    """RoBERTa's dropout of a tenth would give another value each time."""
    config = json.loads((glue_encoder / "config.json").read_text())
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.1
    encoder = Encoder(glue_encoder)
    assert encoder.training
    first = encoder(batch)
    for mode in (True, False):
        assert torch.equal(encoder.train(mode)(batch), first)
        assert encoder.training is mode
    assert torch.equal(encoder.eval()(batch), first)


def test_every_parameter_is_used(glue_encoder: Path, batch: Tensor) -> None:
    encoder = Encoder(glue_encoder)
    encoder(batch).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert "pooler" not in name
        assert parameter.grad is not None, name
    names = {name for name, _ in encoder.named_parameters()}
    assert "model.embeddings.word_embeddings.weight" in names
    assert "model.encoder.layer.1.attention.self.query.weight" in names


def test_stacked_replicas_are_what_each_is_alone(glue_encoder: Path, batch: Tensor) -> None:
    encoders = [Encoder(glue_encoder) for _ in range(3)]
    torch.manual_seed(0)
    with torch.no_grad():
        for number, encoder in enumerate(encoders):
            for parameter in encoder.parameters():
                parameter.add_(0.02 * number * torch.randn_like(parameter))
    batches = torch.stack([batch, batch.flip(0), batch.roll(1, 0)])
    params, buffers = stack_module_state(encoders)  # type: ignore[arg-type]

    def features(params: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor) -> Tensor:
        found: Tensor = functional_call(encoders[0], (params, buffers), (batch,))
        return found

    alone = [encoder(part) for encoder, part in zip(encoders, batches, strict=True)]
    stacked = vmap(features)(params, buffers, batches)
    torch.testing.assert_close(stacked, torch.stack(alone), rtol=1e-4, atol=1e-5)

    def loss(params: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor) -> Tensor:
        return features(params, buffers, batch)[:, 0].square().mean()

    gradients = vmap(grad(loss))(params, buffers, batches)
    for number, encoder in enumerate(encoders):
        alone[number][:, 0].square().mean().backward()
        for name, parameter in encoder.named_parameters():
            torch.testing.assert_close(
                gradients[name][number], parameter.grad, rtol=1e-3, atol=1e-5
            )


def test_weights_are_read_whatever_their_precision(glue_encoder: Path, folder: Path) -> None:
    transformers.AutoModel.from_pretrained(glue_encoder).bfloat16().save_pretrained(folder)
    assert {parameter.dtype for parameter in Encoder(folder).parameters()} == {torch.float32}


def test_a_bert_can_stand_in(folder: Path, batch: Tensor) -> None:
    """With its own pooler, which is left out."""
    config = transformers.BertConfig(
        vocab_size=400, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=128, pad_token_id=PAD,
    )  # fmt: skip
    shutil.rmtree(folder)
    transformers.BertModel(config).save_pretrained(folder)
    encoder = Encoder(folder)
    assert encoder(batch).shape == (3, 16)
    assert not any("pooler" in name for name, _ in encoder.named_parameters())


def test_it_says_nothing(glue_encoder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The library would draw a bar, and report the pooler that it made up."""
    before = transformers.utils.logging.get_verbosity()
    Encoder(glue_encoder)
    tokens(glue_encoder, A, B, 128)
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.get_verbosity() == before


def test_it_takes_no_random_numbers(glue_encoder: Path) -> None:
    """A run's seed decides what is random in it, whatever encoder is loaded before."""
    torch.manual_seed(3)
    first, _ = torch.rand(1), Encoder(glue_encoder)
    second = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), first)
    assert torch.equal(torch.rand(1), second)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"damaged"),
        ("model.safetensors", None),
        ("config.json", b"{"),
        ("config.json", b"{}"),
    ],
)
def test_a_folder_of_something_else_is_named(
    folder: Path, file: str, content: bytes | None
) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(InputError) as caught:
        Encoder(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder} is not a model of transformers")


def test_pickled_weights_are_not_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="is not a model of transformers with safetensors"):
        Encoder(folder)


def test_weights_of_another_model_are_not_made_up(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"has no weights of encoder\.layer\.2\."):
        Encoder(folder)


@pytest.mark.parametrize(("field", "value"), [("pad_token_id", 0), ("vocab_size", 100)])
def test_a_tokenizer_of_another_model_is_refused(folder: Path, field: str, value: int) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[field] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="copy both from one model"):
        tokens(folder, A, None, 128)


def test_no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(InputError) as caught:
        tokens(folder, A, None, 128)
    assert "\n" not in str(caught.value)
