"""Transfer: the sibling's change arrives, and nothing else; what does not belong together is refused by name."""

import json
import shutil

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kovocab.cli.main import main
from kovocab.errors import ModelError, UsageError
from kovocab.record import read_record, write_record
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.transferring.transfer import transfer
from support.base import BASE_TOKENS
from support.front import tree
from support.siblings import CHAT, TEMPLATE, expand, make_instruct, nudge, on_grid

torch.set_num_threads(1)
ENGLISH = "The old trees, 3.14! They didn't move."
KOREAN = "나무 그늘 아래 안녕하세요"


def weights(folder):
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def by_token(name):
    return "embed_tokens" in name or "lm_head" in name


@pytest.fixture(scope="module")
def place(street, tmp_path_factory):
    """base and expanded of the street on a grid; instruct, and one with chat tokens of its own."""
    folder = tmp_path_factory.mktemp("siblings")
    shutil.copytree(street / "base", folder / "base")
    nudge(folder / "base", size=0, exact=True)
    expand(folder / "base", street, folder / "expanded")
    make_instruct(folder / "base", folder / "instruct", exact=True)
    make_instruct(folder / "base", folder / "chat", chat_tokens=CHAT, template=TEMPLATE, exact=True)
    return folder


def run(place, out, adapted="expanded", instruct="instruct", **settings):
    return transfer(str(place / "base"), str(place / adapted), str(place / instruct), out, **settings)


def test_with_scale_0_it_is_the_adapted_model_bit_for_bit(place, street, tmp_path):
    for adapted in (place / "expanded", street / "run/stages/1", street / "export"):
        out = tmp_path / adapted.name
        transfer(str(street / "base"), str(adapted), str(place / "instruct"), out, scale=0.0)
        assert (out / "model.safetensors").read_bytes() == (adapted / "model.safetensors").read_bytes()
        assert (out / "tokenizer.model").read_bytes() == (adapted / "tokenizer.model").read_bytes()


def test_layers_and_old_rows_move_and_new_rows_stay(place, tmp_path):
    run(place, tmp_path / "out", scale=0.5)
    base, adapted, instruct, out = (
        weights(place / "base"), weights(place / "expanded"), weights(place / "instruct"), weights(tmp_path / "out"),
    )  # fmt: skip
    assert out.keys() == adapted.keys()
    for name, tensor in out.items():
        old = slice(0, BASE_TOKENS + 32) if by_token(name) else slice(None)
        wanted = adapted[name][old].double() + 0.5 * (instruct[name].double() - base[name].double())
        assert torch.equal(tensor[old], wanted.float())
        if by_token(name):
            assert torch.equal(tensor[BASE_TOKENS + 32 :], adapted[name][BASE_TOKENS + 32 :])


@pytest.mark.parametrize("instruct", ["instruct", "chat"])
def test_an_untrained_expanded_base_becomes_the_instruct_model(place, tmp_path, instruct):
    """On a grid on which sums are exact, so are rows and logits of old tokens."""
    record = run(place, tmp_path / "out", instruct=instruct)
    out, sibling = (AutoModelForCausalLM.from_pretrained(folder) for folder in (tmp_path / "out", place / instruct))
    last = record["first_new_id"]
    ids = Reference(load_tokenizer(place / instruct)).encode([f"{ENGLISH}{CHAT[1] if instruct == 'chat' else ''}"])
    assert (max(ids[0]) == last - 1) == (instruct == "chat")
    for name, tensor in sibling.state_dict().items():
        assert torch.equal(out.state_dict()[name][:last] if by_token(name) else out.state_dict()[name], tensor)
    with torch.no_grad():
        ours, theirs = (model(torch.tensor(ids)).logits for model in (out, sibling))
    # Another number of rows is another way to sum a product up: states are equal, logits to its rounding.
    torch.testing.assert_close(ours[..., :last], theirs, atol=2e-6, rtol=2e-6)
    with torch.no_grad():
        ours, theirs = (model.model(torch.tensor(ids)).last_hidden_state for model in (out, sibling))
    assert torch.equal(ours, theirs)


def test_moved_new_rows_are_what_expand_makes_of_the_instruct_model(place, street, tmp_path):
    run(place, tmp_path / "out", move_new_rows=True)
    shutil.copytree(place / "instruct", tmp_path / "instruct")
    expand(tmp_path / "instruct", street, tmp_path / "grown")
    ours, theirs = weights(tmp_path / "out"), weights(tmp_path / "grown")
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-7, rtol=1e-6)
    assert not torch.equal(ours["lm_head.weight"], weights(place / "expanded")["lm_head.weight"])


def test_chat_tokens_keep_their_ids_and_new_ones_move_behind(place, tmp_path):
    record = run(place, tmp_path / "out", instruct="chat")
    first = load_tokenizer(place / "base").size
    assert (record["first_new_id"], record["ids_moved_by"]) == (first + 2, 2)
    ours, theirs = (AutoTokenizer.from_pretrained(folder) for folder in (tmp_path / "out", place / "chat"))
    chat = [{"role": "user", "content": ENGLISH}]
    rendered = theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    given = ours.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert given == Reference(load_tokenizer(place / "chat")).encode([rendered])[0]
    assert {first, first + 1} <= set(given)
    assert [ours.convert_tokens_to_ids(token) for token in CHAT] == [first, first + 1]
    before, after = (Reference(load_tokenizer(folder)) for folder in (place / "expanded", tmp_path / "out"))
    old, new = before.encode([KOREAN])[0], after.encode([KOREAN])[0]
    assert max(old) >= first
    assert new == [i + 2 if i >= first else i for i in old]
    assert after.decode(new) == before.decode(old)
    # Rows follow their tokens, and the sibling's rows are its own.
    adapted, chat_rows, out = (weights(folder) for folder in (place / "expanded", place / "chat", tmp_path / "out"))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(out[name][first + 2 :], adapted[name][first:])
        assert torch.equal(out[name][first : first + 2], chat_rows[name][first:])
    generation = json.loads((tmp_path / "out/generation_config.json").read_text())
    wanted = json.loads((place / "chat/generation_config.json").read_text())
    assert wanted.items() <= generation.items()  # the start and padding it did not say are filled, as by export
    assert json.loads((tmp_path / "out/config.json").read_text())["eos_token_id"] == [2, first + 1]
    assert ours.eos_token == CHAT[1]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    made = model.generate(torch.tensor([given]), max_new_tokens=4, do_sample=False)
    assert made.shape[1] > len(given)


def test_chat_tokens_that_the_adapted_model_was_refined_with_stay(place, street, tmp_path, monkeypatch):
    """The base's padding rows; the sibling's tokenizer is refined, and its folder has the base's weights."""
    make_instruct(street / "base", tmp_path / "chat", chat_tokens=CHAT, template=TEMPLATE)
    shutil.copytree(tmp_path / "chat", tmp_path / "with_tokens")
    padded = AutoModelForCausalLM.from_pretrained(street / "base")
    padded.resize_token_embeddings(load_tokenizer(tmp_path / "chat").size, mean_resizing=False)
    padded.save_pretrained(tmp_path / "with_tokens")
    shutil.copytree(street / "base", tmp_path / "base")
    padded.save_pretrained(tmp_path / "base")
    refine = "--min_count 20 --min_syllable_count 20 --intermediate_vocab_size 800"
    monkeypatch.chdir(tmp_path)
    for line in (
        f"count --corpus {street}/ko.txt --tokenizer with_tokens --out words.parquet",
        f"refine --words words.parquet --base with_tokens --out tokenizer {refine}",
        "expand --model with_tokens --tokenizer tokenizer --out expanded",
        "transfer --base base --adapted expanded --instruct chat --out out --scale 0",
    ):
        assert main(line.split()) == 0
    record = read_record(tmp_path / "out")
    assert (record["first_new_id"], record["ids_moved_by"]) == (load_tokenizer(tmp_path / "chat").size, 0)
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "expanded/model.safetensors").read_bytes()


def test_a_folder_without_a_record_will_do(place, tmp_path):
    shutil.copytree(place / "expanded", tmp_path / "published")
    (tmp_path / "published/kovocab.json").unlink()
    transfer(str(place / "base"), str(tmp_path / "published"), str(place / "chat"), tmp_path / "out")
    run(place, tmp_path / "known", instruct="chat")
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "known/model.safetensors").read_bytes()


@pytest.mark.parametrize("untie", [False, True])
def test_tied_embeddings_may_be_untied_by_expand(street, tmp_path, untie):
    from support.models import tiny

    shutil.copytree(street / "base", tmp_path / "base")
    tiny(rows=load_tokenizer(street / "base").size, tie_word_embeddings=True).save_pretrained(tmp_path / "base")
    expand(tmp_path / "base", street, tmp_path / "expanded", *(["--untie", "true"] if untie else []))
    make_instruct(tmp_path / "base", tmp_path / "instruct")
    run(tmp_path, tmp_path / "out", move_new_rows=True)
    out, sibling = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("out", "instruct"))
    ours = [part.weight for part in (out.get_input_embeddings(), out.get_output_embeddings())]
    assert (ours[0] is ours[1]) == (not untie)
    for matrix in ours:
        theirs = sibling.get_input_embeddings().weight
        torch.testing.assert_close(matrix[: len(theirs)], theirs, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("move", [False, True])
def test_a_head_s_bias_moves_with_its_rows(street, tmp_path, move):
    from support.models import tiny

    shutil.copytree(street / "base", tmp_path / "base")
    tiny("phi", rows=load_tokenizer(street / "base").size + 64).save_pretrained(tmp_path / "base")  # and rows to spare
    expand(tmp_path / "base", street, tmp_path / "expanded")
    make_instruct(tmp_path / "base", tmp_path / "chat", chat_tokens=CHAT, template=TEMPLATE)
    record = run(tmp_path, tmp_path / "out", instruct="chat", move_new_rows=move)
    base, adapted, chat, out = (weights(tmp_path / name) for name in ("base", "expanded", "chat", "out"))
    pieces = pl.read_parquet(tmp_path / "expanded/base_pieces.parquet")["base_pieces"].to_list()
    first, old = record["first_new_id"], record["first_new_id"] - 2
    change = chat["lm_head.bias"].double()[: len(base["lm_head.bias"])] - base["lm_head.bias"].double()
    moves = change[[each[0] for each in pieces]] if move else torch.zeros(len(pieces))
    bias = out["lm_head.bias"]
    torch.testing.assert_close(bias[:first], chat["lm_head.bias"][:first], atol=1e-7, rtol=1e-6)
    wanted = (adapted["lm_head.bias"][old : old + len(pieces)].double() + moves).float()
    torch.testing.assert_close(bias[first : first + len(pieces)], wanted, atol=1e-7, rtol=1e-6)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.vocab_size == len(bias)


def test_bf16_is_rounded_once(street, tmp_path):
    """Sums are those of fp32, and of fp64 but for ties; an untrained one is the sibling, but for what became tiny."""
    shutil.copytree(street / "base", tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(street / "base", dtype=torch.bfloat16).save_pretrained(tmp_path / "base")
    expand(tmp_path / "base", street, tmp_path / "expanded")
    make_instruct(tmp_path / "base", tmp_path / "instruct")
    run(tmp_path, tmp_path / "out")
    run(tmp_path, tmp_path / "part", scale=0.3)
    base, adapted, instruct, out, part = (
        weights(tmp_path / name) for name in ("base", "expanded", "instruct", "out", "part")
    )
    differ = total = 0
    for name, tensor in instruct.items():
        assert out[name].dtype == torch.bfloat16
        rows = slice(len(base[name]))
        differ += int((out[name][rows] != tensor).sum())
        total += tensor.numel()
        change = tensor.double() - base[name].double()
        once = (adapted[name][rows].double() + 0.3 * change).bfloat16()
        torch.testing.assert_close(part[name][rows], once, atol=0, rtol=2**-7)
        # A bf16 step is a multiple of others: 0.3 * 5 steps lie half way, and either neighbour is the nearest.
        assert (part[name][rows] != once).float().mean() < 1e-2
        assert torch.equal(part[name][rows], (adapted[name][rows].float() + 0.3 * change.float()).bfloat16())
    assert differ <= total * 1e-4


def test_files_are_those_of_the_adapted_model_and_so_is_what_is_in_them(place, tmp_path):
    shutil.copytree(place / "expanded", tmp_path / "expanded")
    (tmp_path / "expanded/kovocab.json").unlink()
    (tmp_path / "expanded/model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(place / "expanded").save_pretrained(
        tmp_path / "expanded", max_shard_size="60KB"
    )
    transfer(str(place / "base"), str(tmp_path / "expanded"), str(place / "chat"), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "expanded").glob("*.safetensors*"))
    assert len(names) > 3
    assert sorted(path.name for path in (tmp_path / "out").glob("*.safetensors*")) == names
    index, before = (
        json.loads((folder / "model.safetensors.index.json").read_text())
        for folder in (tmp_path / "out", tmp_path / "expanded")
    )
    assert index["weight_map"] == before["weight_map"]
    run(place, tmp_path / "whole", instruct="chat")
    ours, wanted = weights(tmp_path / "out"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[name], tensor) for name, tensor in wanted.items())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in wanted.values())


def test_the_card_and_the_record_say_it(place, tmp_path):
    record = run(place, tmp_path / "out", instruct="chat", scale=0.8, license="apache-2.0")
    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("---\nlanguage:\n- ko\n- en\nlicense: apache-2.0\n")
    for said in ("| layers | adapted + scale × (instruct − base) |", "| scale | 0.8 |", "2310.04799",
                 "2 tokens more than the adapted one knew", "apply_chat_template", "names no stage"):  # fmt: skip
        assert said in card
    assert str(place) not in card
    assert record["settings"]["scale"] == 0.8
    assert record["adapted"]["record"]["verb"] == "expand"


def test_a_trained_model_s_card_says_how_it_was_trained(place, street, tmp_path):
    transfer(str(street / "base"), str(street / "export"), str(place / "instruct"), tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert "## Training" in card
    assert "names no stage" not in card


def spoiled(folder, name, change):
    """A tensor of a folder without a record, changed."""
    (folder / "kovocab.json").unlink(missing_ok=True)
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = change(tensors[name])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


LAYER, HEAD = "model.layers.0.mlp.up_proj.weight", "lm_head.weight"


def other_run(folder):
    from support.models import tiny

    (folder / "kovocab.json").unlink(missing_ok=True)
    tiny(rows=load_tokenizer(folder).size, seed=7).save_pretrained(folder)


def config(**said):
    def change(folder):
        (folder / "kovocab.json").unlink(missing_ok=True)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | said))

    return change


def generation(**said):
    def change(folder):
        path = folder / "generation_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | said))

    return change


def template(text):
    def change(folder):
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": text}))

    return change


def renamed(folder):
    (folder / "kovocab.json").unlink(missing_ok=True)
    text = (folder / "tokenizer.json").read_text()
    tokens = load_tokenizer(folder).tokens
    token = tokens[BASE_TOKENS - 1]
    swapped = json.loads(text)
    vocab = swapped["model"]["vocab"]
    vocab[token], vocab[tokens[300]] = 300, BASE_TOKENS - 1
    (folder / "tokenizer.json").write_text(json.dumps(swapped))


def untied(folder):
    (folder / "kovocab.json").unlink(missing_ok=True)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(folder)


def padded(folder):
    (folder / "kovocab.json").unlink(missing_ok=True)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(2000, mean_resizing=False)
    model.save_pretrained(folder)


@pytest.mark.parametrize(
    ("which", "how", "said"),
    [
        ("instruct", other_run, "are none that were trained from those of"),
        ("adapted", other_run, "are none that were trained from those of"),
        ("instruct", renamed, f"id {BASE_TOKENS - 1} is"),
        ("adapted", renamed, f"id {BASE_TOKENS - 1} is"),
        ("instruct", untied, "are tied, and those of"),
        ("adapted", untied, "are tied, and those of"),
        ("instruct", padded, "at most 1,024 rows of padding"),
        ("instruct", config(rms_norm_eps=0.5), "says rms_norm_eps 0.5 in its config.json"),
        ("adapted", config(hidden_act="gelu"), 'says hidden_act "gelu" in its config.json'),
        ("instruct", config(model_type="mistral"), "is a mistral model and"),
        ("instruct", config(quantization_config={"quant_method": "gptq"}), "is quantised"),
        ("instruct", config(vocab_size=400), "vocab_size is 400 in its config.json"),
        ("instruct", config(eos_token_id=320), "says eos_token_id 320"),
        ("instruct", lambda f: spoiled(f, LAYER, lambda t: t[:-1].clone()), f"{LAYER} has the shape [63, 32]"),
        ("adapted", lambda f: spoiled(f, LAYER, lambda t: t * float("nan")), "is no number in the adapted model;"),
        ("instruct", lambda f: spoiled(f, HEAD, lambda t: t.index_fill(0, torch.tensor(7), float("inf"))),
         f"{HEAD} holds what is no number in the instruct model; wanted finite weights"),
        ("base", lambda f: spoiled(f, HEAD, lambda t: torch.tensor(1.0)), f"{HEAD} of {{0}}/base has the shape []"),
        ("adapted", lambda f: spoiled(f, HEAD, lambda t: t[:, 0].clone()), "wanted a row for each token"),
        ("base", lambda f: spoiled(f, LAYER, lambda t: t.to(torch.float8_e4m3fn)), "/base is F8_E4M3; wanted plain"),
        ("instruct", lambda f: spoiled(f, LAYER, lambda t: t.int()), f"{LAYER} is I32 in {{0}}/instruct and F32 in"),
        ("instruct", generation(eos_token_id="</s>"), 'says eos_token_id "</s>", which is no id'),
        ("instruct", config(model_type="mine", auto_map={"AutoConfig": "c.C"}), "code of its own (auto_map"),
        ("instruct", template("{{ raise_exception('users alone') }}"), "users alone; wanted one that does"),
        ("instruct", lambda f: (f / "tokenizer.json").unlink(), "holds neither tokenizer.json"),
        ("adapted", lambda f: (f / "model.safetensors").write_bytes(b"no"), "model.safetensors cannot be read"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_one_line_and_leaves_nothing(place, tmp_path, capsys, which, how, said):
    for name in ("base", "expanded", "instruct"):
        shutil.copytree(place / name, tmp_path / name)
    how(tmp_path / {"adapted": "expanded"}.get(which, which))
    before = tree(tmp_path)
    args = {"base": "base", "adapted": "expanded", "instruct": "instruct"}
    line = [part for flag, name in args.items() for part in (f"--{flag}", str(tmp_path / name))]
    assert main(["transfer", *line, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    told = error.removesuffix("\n").rpartition("\n")[2]
    assert told.startswith("kovocab transfer: ")
    assert said.replace("{0}", str(tmp_path)) in told
    assert tree(tmp_path) == before


def test_what_is_no_model_is_said_so(place, tmp_path, capsys):
    for base, said in (("nowhere", "there is no model at nowhere: no such folder"), ("", "base is empty")):
        line = ["--base", base, "--adapted", str(place / "expanded"), "--instruct", str(place / "instruct")]
        assert main(["transfer", *line, "--out", str(tmp_path / "out")]) in (1, 2)
        assert f"kovocab transfer: {said}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_sum_that_is_no_number_is_said_with_the_scale(place, tmp_path):
    with pytest.raises(ModelError, match="is no number in the sum with scale 1e\\+300, as float32"):
        run(place, tmp_path / "out", scale=1e300)
    assert list(tmp_path.iterdir()) == []


def test_a_change_between_two_kinds_of_weights_is_told(place, tmp_path):
    shutil.copytree(place / "instruct", tmp_path / "instruct")
    AutoModelForCausalLM.from_pretrained(place / "instruct", dtype=torch.bfloat16).save_pretrained(
        tmp_path / "instruct"
    )
    record = transfer(str(place / "base"), str(place / "expanded"), str(tmp_path / "instruct"), tmp_path / "out")
    said = "The base's weights are float32 and the instruct model's bfloat16"
    assert record["notes"][0].startswith(said)
    assert said in (tmp_path / "out/README.md").read_text()
    assert not any(said in note for note in run(place, tmp_path / "alike")["notes"])


def test_settings_that_cannot_be(place, tmp_path):
    for wrong, said in (({"scale": -1.0}, "scale is -1.0"), ({"scale": float("nan")}, "scale is nan"),
                        ({"name": "two\nlines"}, "name is 'two.nlines'; wanted a line"),
                        ({"license": "My Own"}, "license is 'My Own'"), ({"instruct": "base"}, "which is base too"),
                        ({"adapted": "instruct"}, "which is adapted too")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            run(place, tmp_path / "out", **wrong)
    with pytest.raises(ModelError, match="has no new token"):
        run(place, tmp_path / "out", adapted="instruct", instruct="chat")
    assert list(tmp_path.iterdir()) == []


def test_it_is_replaced_where_it_is_the_same(place, tmp_path, capsys):
    args = ["transfer", "--out", str(tmp_path / "out")]
    for flag, name in (("base", "base"), ("adapted", "expanded"), ("instruct", "instruct")):
        args += [f"--{flag}", str(place / name)]
    assert main(args) == main(args) == 0
    assert main([*args, "--scale", "0.5"]) == 1
    assert "settings.scale was 1.0 and is 0.5" in capsys.readouterr().err
    assert main([*args, "--scale", "0.5", "--overwrite"]) == 0


def test_what_the_records_call_the_base_is_on_the_card(street, place, tmp_path):
    shutil.copytree(place / "expanded", tmp_path / "expanded")
    record = read_record(tmp_path / "expanded", "expand")
    write_record(tmp_path / "expanded", record | {"base_name": "someone/base"})
    for _ in range(2):  # the second replaces the first
        transfer(str(place / "base"), str(tmp_path / "expanded"), str(place / "instruct"), tmp_path / "out")
    assert "base_model: someone/base\n" in (tmp_path / "out/README.md").read_text()


def test_a_grid_is_exact():
    assert torch.equal(on_grid(torch.tensor([0.1, 1.0])), torch.tensor([26 / 256, 1.0]))
