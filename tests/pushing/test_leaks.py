"""Paths of a machine and secrets are seen wherever they stand; web pages, shares and tokens of a vocabulary are not."""

from pathlib import Path

import pytest

from kovocab.pushing.leaks import leaks


def found(text: str, **environment: str) -> list[str]:
    return [what for _, what in leaks(text, environment)]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"base": "/home/me/models/llama"}', "/home/me/models/llama"),
        ("read from /Users/kim/문서/말뭉치.txt, say", "/Users/kim/문서/말뭉치.txt"),
        ("corpus: /mnt/nas/web/", "/mnt/nas/web/"),
        ("`/tmp/x/y`", "/tmp/x/y"),
        ("(/data/ko.jsonl)", "/data/ko.jsonl"),
        ("file:///home/me/x", "/home/me/x"),
        ("--corpus=/scratch/a/b", "/scratch/a/b"),
        ("/root/.cache/huggingface", "/root/.cache/huggingface"),
        (r"C:\Users\kim\model", r"C:\Users\kim\model"),
        (r'"C:\\Users\\kim\\model"', r"C:\\Users\\kim\\model"),
        ("~/models/llama", "~/models/llama"),
        ("~kim/models", "~kim/models"),
    ],
)
def test_a_path_is_named(text: str, path: str) -> None:
    assert found(text) == [f"the path {path}"]


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/some/base, http://a.b/home/me",
        "and/or, 3/4, km/h, src/home/me, ./tmp/x, ../data/x",
        "tokens/word 1/2/3 // /* */ / -- </tmp/x>",
        "arXiv 2402.14714, /no-such-root/x/y",
        "s3://bucket/data/x is a corpus, hf://datasets/home/me too",
        "/tmp",
        "~ 5 tokens, ~5/6 of it, a ~ b",
        "hf_short, sk-short, AKIA, ghp_x",
        "안녕/하세요/여러분",
    ],
)
def test_what_is_no_path_and_no_secret(text: str) -> None:
    assert found(text) == []


def test_a_root_of_this_machine_is_one(tmp_path: Path) -> None:
    assert found(f"x {tmp_path} y") == [f"the path {tmp_path}"]


SECRETS = {
    "hf_" + "aB3" * 11: "a token of Hugging Face",
    "AKIA" + "A1" * 8: "a key of AWS",
    "ghp_" + "a1" * 18: "a token of GitHub",
    "sk-ant-" + "a1" * 18: "a key of an API",
    "AIza" + "a1_-5" * 7: "a key of Google",
    "xoxb-1234567890-abc": "a token of Slack",
    "-----BEGIN RSA PRIVATE KEY-----": "a private key",
    "https://kim:geheim@host/x": "a URL with a password",
    "https://s3/x?X-Amz-Signature=0123456789abcdef0": "a signed URL",
}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_told_by_its_kind_and_line_and_never_repeated(secret: str) -> None:
    said = list(leaks(f"first\n한글 {secret} end\nlast", {}))
    assert said == [(2, SECRETS[secret])]
    assert secret not in str(said)


def test_the_values_of_the_machine_s_secrets_are_looked_for() -> None:
    environment = {"WANDB_API_KEY": "0123456789abcdef0123", "HOME": "/nowhere", "X_TOKEN": "short"}
    assert found("key 0123456789abcdef0123, short", **environment) == ["the value of WANDB_API_KEY"]
    assert found("nothing short of it", **environment) == []
