"""What all runs of stages.py share: text, an English base trained from nothing, its tokenizers, its expanded models.

Each is made once, in a folder that is renamed when it is whole, and found there by the next call.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from kovocab import RefineSettings, count, refine
from kovocab.artefact import new_folder
from kovocab.expanding.config_files import save_model
from kovocab.expanding.expand import copy_tokenizer, expand_folder, load_plain
from kovocab.expanding.new_rows import INITIALISATION
from kovocab.expanding.spelling import copy_pieces
from kovocab.reading.documents import batches
from kovocab.record import RECORD, read_record, write_record
from stages_setting import LANGUAGES, VALIDATION, Size

END = "<|endoftext|>"
SIZE_TOLERANCE = 0.98


class Made:
    """The folder of what runs share.

    Args:
        home: Where.
        data: The folder of real text.
        size: How much of it, and how large the model.
    """

    def __init__(self, home: Path, data: Path, size: Size) -> None:
        self.home, self._data, self._size = home, data, size

    def folder(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder of that name, made by `make` if it is not there."""
        folder, begun = self.home / name, self.home / f".{name}"
        if not folder.is_dir():
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir(parents=True)
            make(begun)
            begun.rename(folder)
        return folder

    def prepare(self) -> None:
        """Make what needs the data, and no training."""
        for language in LANGUAGES:
            self.text(language)
        for prune in ("leaf", "threshold"):
            self.tokenizer(prune)

    def text(self, language: str) -> Path:
        """The documents of a language, the first of them up to so many bytes."""

        def make(folder: Path) -> None:
            texts = pl.concat(list(batches(str(self._data / self._size.corpora[language])))).rechunk().alias("text")
            texts.to_frame().filter(
                texts.str.len_bytes().cast(pl.UInt64).cum_sum() <= self._size.bytes[language]
            ).write_parquet(folder / "text.parquet")

        return self.folder(f"text-{language}", make) / "text.parquet"

    def trained_on(self, language: str) -> pl.Series:
        """Its documents without those that `fit` holds out, by the rule of docs/data.md."""
        texts = pl.read_parquet(self.text(language))["text"]
        below = int(VALIDATION * 2**64)
        hashes = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
        return texts.filter(pl.Series([int.from_bytes(each) >= below for each in hashes]))

    def base_tokenizer(self) -> Path:
        """A byte-level tokenizer learned from the English text, as GPT-2's and phi-2's are."""

        def make(folder: Path) -> None:
            made = Tokenizer(models.BPE())
            made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            made.decoder, made.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=True)
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(
                vocab_size=self._size.tokens - 1, initial_alphabet=alphabet, show_progress=False
            )  # fmt: skip
            made.train_from_iterator(self.trained_on("english").to_list(), trainer)
            made.add_special_tokens([END])  # the last id
            made.save(str(folder / "tokenizer.json"))
            names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
            said = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
            (folder / "tokenizer_config.json").write_text(json.dumps(said, indent=2) + "\n")

        return self.folder("base-tokenizer", make)

    def tokenizer(self, prune: str) -> Path:
        """The base tokenizer grown by `refine`, from Korean that is not held out.

        Raises:
            SystemExit: there are not as many new tokens as the size says, so two ways to prune would differ in that.
        """

        def make(folder: Path) -> None:
            least = self._size.min_count
            settings = RefineSettings(least, least, max_new_tokens=self._size.new_tokens, prune=prune)  # type: ignore[arg-type]
            base = self.base_tokenizer()
            refined = refine(count(self.trained_on("korean"), base), base, settings)
            # The list is closed under parts, so it may end a little before the number.
            if (new := refined.record["new_tokens"]) < SIZE_TOLERANCE * self._size.new_tokens:
                raise SystemExit(
                    f"{prune} leaves {new:,} new tokens; wanted {self._size.new_tokens:,}: lower min_count"
                )
            refined.save(folder / "refined")

        return self.folder(f"tokenizer-{prune}", make) / "refined"

    def as_expanded(self, folder: Path, model: PreTrainedModel) -> None:
        """Write a model that was not expanded so that `fit` takes it.

        `fit` trains models with new rows. The last of the old ones is called new here, and stages train both: then it
        makes no difference which is which.
        """
        refined = {
            key: value for key, value in read_record(self.tokenizer("leaf")).items() if key != "target_tokenizer"
        }
        first = self._size.tokens - 1
        with new_folder(folder) as beside:
            save_model(model, beside, None)
            copy_tokenizer(self.base_tokenizer(), beside)
            sizes = {"first_new_id": first, "new_tokens": 1}
            record = {"verb": "expand", "vocab_size": first + 1, "tied": False, "dtype": "float32"}
            kinds = {"initialisation": INITIALISATION, "tokenizer": refined | sizes}
            write_record(beside, record | sizes | kinds)

    def nothing(self) -> Path:
        """The base before it has read anything."""

        def make(folder: Path) -> None:
            size = self._size
            config = LlamaConfig(
                vocab_size=size.tokens,
                hidden_size=size.hidden,
                intermediate_size=size.inner,
                num_hidden_layers=size.layers,
                num_attention_heads=size.heads,
                num_key_value_heads=size.heads,
                max_position_embeddings=size.length,
                bos_token_id=size.tokens - 1,
                eos_token_id=size.tokens - 1,
                tie_word_embeddings=False,
            )
            torch.manual_seed(0)
            self.as_expanded(folder / "model", LlamaForCausalLM(config))

        return self.folder("nothing", make) / "model"

    def base(self, train: Callable[[Path], Path]) -> Path:
        """The English base: a plain model folder, and beside it in `as-expanded` one that `fit` takes.

        Args:
            train: Trains the model in a folder and gives where it then is.
        """

        def make(folder: Path) -> None:
            trained = train(self.nothing())
            shutil.copytree(trained, folder / "model", ignore=shutil.ignore_patterns(RECORD, "base_pieces.parquet"))
            self.as_expanded(folder / "as-expanded", load_plain(str(folder / "model")))

        return self.folder("base", make)

    def expanded(self, base: Path, prune: str) -> Path:
        """The base with new rows as kovocab makes them."""

        def make(folder: Path) -> None:
            expand_folder(str(base / "model"), self.tokenizer(prune), folder / "model")

        return self.folder(f"expanded-{prune}", make) / "model"

    def mean(self, base: Path) -> Path:
        """The base with new rows as transformers' `resize_token_embeddings` makes them: drawn round the mean."""

        def make(folder: Path) -> None:
            source = self.expanded(base, "leaf")
            record = read_record(source)
            model = load_plain(str(base / "model"))
            torch.manual_seed(0)
            model.resize_token_embeddings(record["vocab_size"])  # it says at length how it draws them
            how = "drawn round the mean of all old rows, as transformers resizes"
            with new_folder(folder / "model") as beside:
                save_model(model, beside, base / "model")
                copy_tokenizer(source, beside)
                copy_pieces(source, beside)
                kept = {key: value for key, value in record.items() if key != "files"}
                write_record(beside, kept | {"initialisation": {"input": how, "output": how}})

        return self.folder("expanded-mean", make) / "model"
