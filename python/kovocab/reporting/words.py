"""What a report says, in English and in Korean."""

from typing import Literal

Language = Literal["en", "ko"]

_SAID: dict[str, tuple[str, str]] = {
    "title": ("Vocabulary expansion", "어휘 확장 보고서"),
    "new_tokens": ("new tokens", "새 토큰"),
    "per_word": ("tokens per word", "단어당 토큰"),
    "bits": ("bits per byte", "바이트당 비트"),
    "stages": ("stages finished", "끝난 단계"),
    "stages_of": ("{done} of {of}", "{of}단계 중 {done}단계"),
    "before": ("base", "기반"),
    "after": ("adapted", "적응"),
    "expanded": ("expanded", "확장"),
    "stage": ("stage", "단계"),
    "source": ("source", "출처"),
    # sections
    "sentence": ("The same sentence", "같은 문장"),
    "sentence_said": (
        "Each box is a token. Those of the base are grey, new ones coloured; ▁ stands for a space, and a box with two "
        "hexadecimal digits for a single byte.",
        "상자 하나가 토큰 하나입니다. 기반의 토큰은 회색, 새 토큰은 색이 있습니다. "
        "▁는 공백, 16진수 두 자리는 바이트 하나입니다.",
    ),
    "count_tokens": ("{n} tokens", "토큰 {n}개"),
    "same_tokens": ("the same tokens before and after", "전과 후의 토큰이 같습니다"),
    "text": ("Text into tokens", "글에서 토큰으로"),
    "per_word_by": ("Tokens per word, by source", "출처별 단어당 토큰"),
    "per_word_note": (
        "On held-out text. A word is what stands between white space.",
        "학습에 쓰지 않은 글. 단어는 공백 사이의 문자열입니다.",
    ),
    "shares": ("Words in one, two, three or more tokens", "한 개, 두 개, 세 개 이상의 토큰으로 된 단어"),
    "one": ("1 token", "토큰 1개"),
    "two": ("2 tokens", "토큰 2개"),
    "more": ("3 or more", "3개 이상"),
    "context": ("What 4,096 tokens hold, in characters", "4,096 토큰에 담기는 글자 수"),
    "vocabulary": ("The new tokens", "새 토큰"),
    "rounds": ("Refined until nothing changes", "변화가 없을 때까지 다듬기"),
    "rounds_note": ("New tokens, round by round.", "회차별 새 토큰 수."),
    "lengths": ("By length and kind", "길이와 종류별"),
    "lengths_note": ("Tokens by characters, the space before them not counted.", "앞 공백을 뺀 글자 수별 토큰 수."),
    "begins": ("begins a word", "단어의 시작"),
    "inside": ("inside a word", "단어의 안"),
    "scaffold": ("scaffold (two bytes, no text)", "비계(두 바이트, 글 아님)"),
    "syllables": ("Syllables that are one token", "토큰 하나인 음절"),
    "ksx": ("KS X 1001 (2,350)", "KS X 1001(2,350자)"),
    "modern": ("all (11,172)", "현대 한글(11,172자)"),
    "weighted": ("in the corpus", "말뭉치의 음절"),
    "most": ("The hundred most frequent", "가장 잦은 백 개"),
    "least": ("The hundred least frequent", "가장 드문 백 개"),
    "training": ("Training", "학습"),
    "trains": ("trains", "학습하는 것"),
    "steps": ("steps", "스텝"),
    "tokens": ("tokens", "토큰"),
    "rate": ("learning rate", "학습률"),
    "loss": ("Loss", "손실"),
    "train_loss": ("training", "학습"),
    "val_loss": ("held out", "평가"),
    "val_before": ("held out before", "평가 손실 전"),
    "val_after": ("after", "후"),
    "rate_title": ("Learning rate", "학습률"),
    "by_step": ("By step; dotted lines are ends of stages.", "스텝별. 점선은 단계의 끝입니다."),
    "bits_title": ("Bits per byte, by source and stage", "출처와 단계별 바이트당 비트"),
    "bits_note": (
        "Comparable across tokenizers: what the text costs, not each token. Lower is better.",
        "토크나이저가 달라도 견줄 수 있습니다. 토큰이 아니라 글 전체의 값이며, 낮을수록 좋습니다.",
    ),
    "learned": ("What the new tokens have learned", "새 토큰이 배운 것"),
    "norms": ("Lengths of new rows", "새 행의 길이"),
    "norms_note": ("1 is the median of the old rows.", "1은 기존 행의 중앙값입니다."),
    "input": ("input rows", "입력 행"),
    "output": ("output rows", "출력 행"),
    "repeated": ("repeated when asked to", "시키면 되풀이함"),
    "in_text": ("stand in the held-out text", "평가 글에 나옴"),
    "recall": ("of their places there predicted", "그 자리를 맞힘"),
    "unlearned": ("The thirty that need it most", "가장 덜 배운 서른 개"),
    "token": ("token", "토큰"),
    "need": ("need", "필요"),
    "trained": ("trained on", "학습 횟수"),
    "repeats": ("repeats", "되풀이"),
    "held_out": ("held out", "평가 글"),
    "predicted": ("predicted", "맞힘"),
    "surprise": ("bits", "비트"),
    "yes": ("yes", "예"),
    "no": ("no", "아니요"),
    "promises": ("Promises", "약속"),
    "promise": ("promise", "약속"),
    "figure": ("checked on", "확인한 것"),
    "base_tokens": ("base ids keep their meaning", "기반 토큰의 번호는 뜻을 지킨다"),
    "texts_without_hangul": ("text without the script is encoded as before", "해당 문자가 없는 글은 전과 같이 나뉜다"),
    "new_reachable": ("every new token is reachable", "모든 새 토큰에 닿을 수 있다"),
    "texts_with_hangul": ("text with it is decoded as before", "해당 문자가 있는 글은 전과 같이 풀린다"),
    "texts_in_model": ("tokenizer.model gives the same ids", "tokenizer.model도 같은 번호를 낸다"),
    "frozen": (
        "what is frozen does not move (parameters compared, all stages)",
        "얼린 것은 움직이지 않는다(견준 매개변수, 모든 단계)",
    ),
    "never": (
        "{n} more are never emitted: others are made of them.",
        "그 밖의 {n}개는 스스로 나오지 않고, 다른 토큰의 부분입니다.",
    ),
    "moved": ("{n}, of which {moved} moved", "{n}, 움직인 것 {moved}"),
    "cost": ("Cost", "비용"),
    "amount": ("amount", "값"),
    "trained_on": ("tokens trained on", "학습한 토큰"),
    "all_steps": ("steps", "스텝"),
    "speed": ("tokens a second (median of the logs)", "초당 토큰(기록의 중앙값)"),
    "hours": ("hours of training, at the logged speeds", "학습 시간(기록된 속도로, 시간)"),
    "measured": ("seconds of measuring, all models", "평가 시간(모든 모델, 초)"),
    "counted": ("bytes of text counted", "센 글의 바이트"),
    "packed": ("tokens packed to train on", "학습용으로 묶은 토큰"),
    "versions": ("Made with", "만든 것"),
    # what is not there
    "no_expanded": (
        "No stage is finished, and the expanded model is not where it was: give --expanded to see its tokens.",
        "끝난 단계가 없고 확장된 모델이 제자리에 없습니다. --expanded로 알려 주면 토큰이 보입니다.",
    ),
    "no_stage": ("No stage is finished yet.", "아직 끝난 단계가 없습니다."),
    "no_logs": ("There are no logs of steps.", "스텝 기록이 없습니다."),
    "no_target": ("The run's tokenizer cannot be read.", "실행의 토크나이저를 읽을 수 없습니다."),
    "no_base": (
        "The base's tokenizer is not where it was, or is another: give --base for the sentence in its tokens.",
        "기반 토크나이저가 제자리에 없거나 다른 것입니다. --base로 알려 주면 문장을 견줍니다.",
    ),
    "no_vocabulary": (
        "The folder that refine left for this run is not beside it: give --tokenizer to see tokens with their counts.",
        "refine이 남긴 폴더가 곁에 없습니다. --tokenizer로 알려 주면 토큰과 횟수가 보입니다.",
    ),
    "no_words": (
        "The word counts are not beside the run: give --words to weigh syllables by how often they stand there.",
        "단어 수 파일이 곁에 없습니다. --words로 알려 주면 음절에 횟수로 무게를 둡니다.",
    ),
    "no_evaluation": (
        "Not measured yet: kovocab evaluate RUN, and then kovocab report RUN again.",
        "아직 평가하지 않았습니다. kovocab evaluate RUN 뒤에 kovocab report RUN을 다시 하십시오.",
    ),
    "bad_evaluation": (
        "evaluation.json is damaged: kovocab evaluate RUN writes it again.",
        "evaluation.json이 상했습니다. kovocab evaluate RUN이 다시 씁니다.",
    ),
    "other_evaluation": (
        "evaluation.json is of another tokenizer than this run's: kovocab evaluate RUN writes it again.",
        "evaluation.json은 다른 토크나이저의 것입니다. kovocab evaluate RUN이 다시 씁니다.",
    ),
    "old_evaluation": (
        "Measured when {measured} of the stages were finished; now {done} are.",
        "{measured}단계까지 끝났을 때 평가했고, 지금은 {done}단계가 끝났습니다.",
    ),
    "no_characters": (
        "The text that was measured on is not where it was, so its characters are not known.",
        "평가한 글이 제자리에 없어 글자 수를 알 수 없습니다.",
    ),
    "no_unlearned": (
        "The table of unlearned tokens is not there, or damaged: kovocab evaluate RUN writes it.",
        "배우지 못한 토큰의 표가 없거나 손상되었습니다. kovocab evaluate RUN이 씁니다.",
    ),
    "no_promises": ("The record says nothing of promises.", "기록에 약속이 없습니다."),
}


class Words:
    """What is said, in one of the languages."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """A text by its key, with values in braces filled in."""
        return _SAID[key][self.language == "ko"].format(**values)
