"""Small folders in the exact layouts of data sets that cannot be shipped."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mtl_core.settings.celeba import ATTRIBUTES

__all__ = ["TABLES", "write_celeba", "write_cityscapes", "write_encoder", "write_glue"]


def write_celeba(data: Path, counts: Sequence[int] = (16, 8, 8), seed: int = 0) -> Path:
    """``data/celeba`` of faces in one colour each, with random attributes.

    Args:
        counts: images of the official training, validation and test partitions.

    Returns:
        The folder.
    """
    random = np.random.default_rng(seed)
    folder = data / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    total = sum(counts)
    names = [f"{number:06d}.jpg" for number in range(1, total + 1)]
    for name, colour in zip(names, random.integers(0, 256, (total, 3)), strict=True):
        image = Image.new("RGB", (178, 218), tuple(map(int, colour)))
        image.save(folder / "img_align_celeba" / name, quality=100, subsampling=0)
    signs = random.choice([-1, 1], size=(total, 40))
    rows = (
        f"{name} {' '.join(f'{s:2d}' for s in row)}" for name, row in zip(names, signs, strict=True)
    )
    table = [str(total), " ".join(ATTRIBUTES) + " ", *rows]
    (folder / "list_attr_celeba.txt").write_text("\n".join(table) + "\n")
    parts = np.repeat([0, 1, 2], counts)
    lines = (f"{name} {part}\n" for name, part in zip(names, parts, strict=True))
    (folder / "list_eval_partition.txt").write_text("".join(lines))
    return folder


def write_cityscapes(
    data: Path,
    counts: Sequence[int] = (8, 4, 4),
    size: tuple[int, int] = (64, 128),
    seed: int = 0,
) -> Path:
    """``data/cityscapes`` of blocks in random colours, with labels and disparities of every kind.

    Args:
        counts: images of the official training cities that stay, of those that are held out, and
            of the official validation cities.
        size: height and width of the images; the official ones are 1024×2048.

    Returns:
        The folder.
    """
    random = np.random.default_rng(seed)
    folder = data / "cityscapes"
    cities = (("train", ("aachen", "bochum")), ("train", ("jena", "ulm")), ("val", ("munster",)))
    for (split, names), count in zip(cities, counts, strict=True):
        for number in range(count):
            city = names[number % len(names)]
            write_scene(
                folder,
                f"{split}/{city}/{city}_{number:06d}_000019",
                image=blocks(random.integers(0, 256, (4, 8, 3)), size).astype(np.uint8),
                labels=blocks(random.integers(0, 34, (4, 8)), size).astype(np.uint8),
                disparity=blocks(
                    random.integers(0, 2, (4, 8)) * random.integers(0, 32_257, (4, 8)), size
                ).astype(np.uint16),
            )
    return folder


def write_scene(
    folder: Path,
    scene: str,
    *,
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    disparity: NDArray[np.uint16],
) -> None:
    """The three files of ``SPLIT/CITY/CITY_SEQUENCE_FRAME``."""
    for kind, ending, array in (
        ("leftImg8bit", "leftImg8bit", image),
        ("gtFine", "gtFine_labelIds", labels),
        ("disparity", "disparity", disparity),
    ):
        path = folder / kind / f"{scene}_{ending}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)


def blocks(coarse: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.int64]:
    """A coarse grid blown up to ``size``."""
    repeats = (size[0] // coarse.shape[0], size[1] // coarse.shape[1])
    return coarse.repeat(repeats[0], axis=0).repeat(repeats[1], axis=1)


TABLES = {
    "cola": ("CoLA", "dev.tsv", "", "gj04|{label}||{a}"),
    "sst2": ("SST-2", "dev.tsv", "sentence|label", "{a} |{label}"),
    "mrpc": (
        "MRPC",
        "dev.tsv",
        "\ufeffQuality|#1 ID|#2 ID|#1 String|#2 String",
        "{label}|702876|702977|{a}|{b}",
    ),
    "qqp": (
        "QQP",
        "dev.tsv",
        "id|qid1|qid2|question1|question2|is_duplicate",
        "3|213221|213222|{a}|{b}|{label}",
    ),
    "mnli": (
        "MNLI",
        "dev_matched.tsv",
        "index|promptID|pairID|genre|sentence1_binary_parse|sentence2_binary_parse|"
        "sentence1_parse|sentence2_parse|sentence1|sentence2|label1|gold_label",
        "3|31193|31193n|fiction|( a )|( b )|(ROOT a)|(ROOT b)|{a}|{b}|neutral|{label}",
    ),
    "qnli": ("QNLI", "dev.tsv", "index|question|sentence|label", "3|{a}|{b}|{label}"),
    "rte": ("RTE", "dev.tsv", "index|sentence1|sentence2|label", "3|{a}|{b}|{label}"),
    "stsb": (
        "STS-B",
        "dev.tsv",
        "index|genre|filename|year|old_index|source1|source2|sentence1|sentence2|score",
        "3|main-captions|MSRvid|2012test|0001|none|none|{a}|{b}|{label}",
    ),
}
"""Of each task: folder, name of the development file, header, and a row to fill in; | is a tab."""

LABELS = {
    "mnli": ("entailment", "neutral", "contradiction"),
    "qnli": ("entailment", "not_entailment"),
    "rte": ("entailment", "not_entailment"),
    "stsb": ("0.000", "2.500", "5.000", "3.800"),
}


def write_glue(data: Path, counts: Sequence[int] = (40, 12), seed: int = 0) -> Path:
    """``data/glue`` with the tables of all eight tasks.

    Args:
        counts: rows of the training and of the development file.

    Returns:
        The folder.
    """
    random = np.random.default_rng(seed)
    text = "the cat \"sat on a mat , while dogs' barks said : no !"
    for name, (place, dev, header, row) in TABLES.items():
        folder = data / "glue" / place
        folder.mkdir(parents=True)
        for file, count in zip(("train.tsv", dev), counts, strict=True):
            lines = [header] if header else []
            for number in range(count):
                a, b = (" ".join(random.choice(text.split(), random.integers(2, 9))) for _ in "ab")
                labels = LABELS.get(name, ("0", "1"))
                label = labels[number % len(labels)]
                lines.append(row.format(a=f"{a} {number}", b=b, label=label))
            content = "\n".join(lines).replace("|", "\t")
            (folder / file).write_text(f"{content}\n", encoding="utf-8")
    return data / "glue"


def write_encoder(folder: Path, *, hidden: int = 32, layers: int = 2) -> Path:
    """A tiny RoBERTa with random weights and a byte-level tokenizer, as ``transformers`` saves it.

    Its dropout is RoBERTa's own, and it has the language model's head that roberta-base comes with
    instead of a pooler.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "the cat sat on a mat while dogs barked and the others said that it was not them"
    pieces.train_from_iterator([text] * 8, trainer)
    pieces.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    tokenizer = transformers.RobertaTokenizerFast(tokenizer_object=pieces, model_max_length=128)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.RobertaForMaskedLM(config)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
