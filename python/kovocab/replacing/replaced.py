"""What replace leaves: the tokenizer of the base's size, what went and what came, saved and held to its promises."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.artefact import new_folder
from kovocab.building.ranked_model import ranked_model
from kovocab.building.saving import matching_model, model_file, save_tokenizer
from kovocab.errors import quantity
from kovocab.hub import local
from kovocab.record import Record, read_record, write_record
from kovocab.refining.base_folder import NO_MODEL, ModelPlan
from kovocab.refining.refined import texts_of
from kovocab.refining.rounds import ratio
from kovocab.replacing.cost import Text
from kovocab.replacing.exchange import exchange_model
from kovocab.replacing.promises import check_promises
from kovocab.tokenizer.reference import Reference, Tokenizer
from kovocab.tokenizer.script import Script
from kovocab.tokenizer.tokenizer import Source, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

MADE_FROM = ("settings", "tokenizer", "keep")
"""The keys of the record that say what was replaced, and how."""

REPLACED = "replaced.parquet"


@dataclass(frozen=True)
class Replaced:
    """What replace leaves.

    Attributes:
        vocabulary: As `refine` leaves it, with the ids that the tokens have here, and `new: bool`, whether the token is
            at the id of one that went: a token of the base that new merges make keeps its own. In merge order.
        replaced: `id: u32, old: str, old_count: u64, new: str, new_count: u64`, a row for each token that went, by id:
            how often the base emits it in all texts, and the target the new one in those of the new language.
        target: The target tokenizer.
        record: Settings, what each text is with it, and the records of what it was made from.
    """

    vocabulary: pl.DataFrame
    replaced: pl.DataFrame
    target: TokenizerJson
    record: Record
    _base: Source = field(repr=False)
    _reference: Reference = field(repr=False)
    _appended: TokenizerJson = field(repr=False)
    _texts: Sequence[Text] = field(repr=False)
    _script: Script = field(repr=False)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The target tokenizer as the library `tokenizers` has it, to encode with."""
        return Reference(self.target).library

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Record:
        """Write the tokenizer, its tables (vocabulary, replaced) and the record; check what was written.

        Nothing is left behind where a promise does not hold.

        Args:
            folder: Where to write. What an earlier replace left there, of the same tokenizer, texts and settings, is
                replaced; what else is in the folder stays.
            overwrite: Whether that of others is replaced too.

        Returns:
            The record, with how much each promise was checked on.

        Raises:
            ArtefactError: something else is in the way, see `kovocab.artefact.check_replaceable`.
            TokenizerError: the saved tokenizer breaks a promise; says which, and by what.
        """
        made_from = {key: self.record[key] for key in MADE_FROM}
        with new_folder(folder, made_from, overwrite=overwrite) as beside:
            save_tokenizer(
                self.target, beside, base_source=self._base, vocabulary=self.vocabulary, model_from="nothing"
            )
            if (model := self._model(beside)) is not None:
                (beside / "tokenizer.model").write_bytes(model)
            self.vocabulary.write_parquet(beside / "vocabulary.parquet")
            self.replaced.write_parquet(beside / REPLACED)
            write_record(beside, self.record | {"promises": self._check(beside, model)})
        return read_record(folder)

    def summary(self) -> str:
        """What came of it, as lines."""
        record = self.record
        rows = quantity(record["size"], "token")
        held = f", {quantity(record['scaffolds'], 'scaffold')} among them" if record["scaffolds"] else ""
        lines = [f"{quantity(record['new_tokens'], 'new token')}{held} at the ids of old ones: {rows} as before"]
        if (asked := record["wanted"]) > record["new_tokens"]:
            lines.append(
                f"{asked:,} were wanted: no more old tokens can go within max_english_loss "
                f"{record['settings']['max_english_loss']:g}; the rarest new ones are left out"
            )
        for text in record["texts"]:
            ratios = [text[f"{key}tokens_per_word"] for key in ("base_", "appended_", "")]
            base, appended, now = map(ratio, ratios)
            gone = f"{text['base_tokens_gone'] / max(text['base_tokens'], 1):.3%} of the base's tokens went"
            loss = "" if text["loss"] is None else f", words without the script are {text['loss']:+.3%} tokens"
            said = f"{base} tokens per word by the base, {appended} appended, {now} now; {gone}{loss}"
            lines.append(f"{text['name']}: {said}")
        if (plan := ModelPlan.of(record)).why not in (None, NO_MODEL):
            how = "made from the ranks of tokenizer.json" if plan.source == "ranks" else "left out"
            lines.append(f"tokenizer.model is {how}: {plan.why}")
        return "\n".join(lines)

    def _model(self, folder: Path) -> bytes | None:
        plan, source = ModelPlan.of(self.record), self._base
        if plan.source == "base" and isinstance(source, str | Path) and (found := model_file(local(source))):
            path, data = found
            appended = matching_model(self._appended, data, self.vocabulary, path, self._script)
            return exchange_model(appended, self._appended, self._gone)
        if plan.source != "ranks":
            return None
        config: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_bytes())
        return ranked_model(self.target, config)

    @property
    def _gone(self) -> list[int]:
        return self.replaced["id"].to_list()

    def _check(self, folder: Path, model: bytes | None) -> dict[str, int]:
        lines = [line for text in self._texts for line in texts_of(text.words, self._script)]
        saved = Reference(load_tokenizer(folder), once=True)
        return check_promises(
            self._reference, self._appended, saved, frozenset(self._gone), lines, self.vocabulary, model, self._script
        )
