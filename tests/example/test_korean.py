"""Korean sentences: stems conjugate, and particles agree with what they follow."""

import re
import unicodedata

import pytest

from kovocab.example import korean
from kovocab.example.korean import conjugate
from kovocab.example.text import sample_documents


@pytest.mark.parametrize(
    ("stem", "forms"),
    [
        ("하", "합니다 했습니다 해요 한다 한 할 하면 하니까 하네요 하는"),
        ("가", "갑니다 갔습니다 가요 간다 간 갈 가면 가니까 가네요 가는"),
        ("먹", "먹습니다 먹었습니다 먹어요 먹는다 먹은 먹을 먹으면 먹으니까 먹네요 먹는"),
        ("잡", "잡습니다 잡았습니다 잡아요 잡는다 잡은 잡을 잡으면 잡으니까 잡네요 잡는"),
        ("만들", "만듭니다 만들었습니다 만들어요 만든다 만든 만들 만들면 만드니까 만드네요 만드는"),
        ("쓰", "씁니다 썼습니다 써요 쓴다 쓴 쓸 쓰면 쓰니까 쓰네요 쓰는"),
        ("나쁘", "나쁩니다 나빴습니다 나빠요 나쁜다 나쁜 나쁠 나쁘면 나쁘니까 나쁘네요 나쁘는"),
        ("배우", "배웁니다 배웠습니다 배워요 배운다 배운 배울 배우면 배우니까 배우네요 배우는"),
        ("마시", "마십니다 마셨습니다 마셔요 마신다 마신 마실 마시면 마시니까 마시네요 마시는"),
        ("오", "옵니다 왔습니다 와요 온다 온 올 오면 오니까 오네요 오는"),
        ("되", "됩니다 됐습니다 돼요 된다 된 될 되면 되니까 되네요 되는"),
        ("쉬", "쉽니다 쉬었습니다 쉬어요 쉰다 쉰 쉴 쉬면 쉬니까 쉬네요 쉬는"),
        ("보내", "보냅니다 보냈습니다 보내요 보낸다 보낸 보낼 보내면 보내니까 보내네요 보내는"),
    ],
)
def test_conjugation(stem: str, forms: str) -> None:
    endings = ["ㅂ니다", "았습니다", "아요", "ㄴ다", "ㄴ", "ㄹ", "으면", "으니까", "네요", "는"]
    assert [conjugate(stem, ending) for ending in endings] == forms.split()


def test_particles_agree_with_the_final_consonant() -> None:
    """Every noun of the sample, by its rank, takes the form that its last syllable asks for."""
    for rank in [*range(3000), *(7**i for i in range(5, 40))]:
        noun = korean._noun(rank)
        assert re.fullmatch("[가-힣]+", noun)
        final = unicodedata.normalize("NFD", noun[-1])[2:]
        topic, to = "는/은/은", "로/으로/로"
        place = korean._particle(noun)
        assert korean._forms(topic)[place] == ("은" if final else "는")
        assert korean._forms(to)[place] == ("으로" if final and final != "\u11af" else "로")


def test_particles_agree_in_the_text() -> None:
    """을 and 를 are particles wherever they end a word of the sample: no stem of its lists ends in them."""
    text = " ".join(sample_documents(1_000_000, language="ko"))
    checked = 0
    for before, particle in re.findall(r"([가-힣])([을를])(?= )", text):
        if particle == "를" or before not in "있없":  # 있을, 없을: endings, not particles
            final = (ord(before) - 0xAC00) % 28
            if particle == "를":
                assert final == 0, before + particle
            else:
                assert final != 0, before + particle
            checked += 1
    assert checked > 5000
