"""The words of the sample: hand-written lists, most frequent first, weights of syllables, and how to draw from a list.

Changing anything here changes the sample on every machine.
"""

# ruff: noqa: SIM905 - lists of words are read and edited as text

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# fmt: off
NOUNS = """사람 문제 시간 사회 정부 경우 생각 세계 나라 학교 교육 기술 경제 정책 회사 시장 연구 결과 방법
자료 정보 문화 역사 도시 지역 환경 가족 아이 친구 학생 선생님 부모 여자 남자 마음 이야기 노래 영화 음악 책
글 말 소리 물 불 바람 하늘 바다 산 강 길 집 방 문 창문 의자 책상 자동차 기차 비행기 버스 지하철 병원 의사
환자 건강 운동 음식 밥 국 빵 커피 과일 사과 고기 가게 값 돈 은행 투자 수출 수입 기업 산업 공장 노동 임금
세금 법 법률 헌법 법원 판결 규정 조항 계약 권리 의무 책임 국민 국회 의원 선거 대통령 장관 위원회 행정 기관
단체 조직 제도 개혁 변화 발전 성장 위기 원인 이유 목적 목표 계획 과정 단계 수준 기준 조건 상황 상태 현상
사실 진실 의미 가치 관계 차이 영향 효과 능력 경험 지식 학문 과학 수학 물리 화학 생물 컴퓨터 프로그램 함수
변수 파일 서버 화면 버튼 메뉴 사용자 데이터 모델 언어 단어 문장 번역 사전 신문 방송 기자 기사 뉴스 광고
인터넷 전화 편지 사진 그림 색깔 모양 크기 높이 무게 온도 날씨 비 눈 구름 봄 여름 가을 겨울 아침 점심 저녁 밤
오늘 내일 어제 주말 여행 호텔 공항 지도 경찰 군대 전쟁 평화 통일 외교 협력 갈등 대화 토론 회의 발표 보고서
논문 작품 소설 시인 작가 배우 감독 관객 팬 경기 선수 팀 승리 기록 꿈 희망 사랑 행복 슬픔 걱정 기쁨 눈물 웃음
얼굴 손 발 머리 가슴 몸 목소리 이름 나이 생일 고향 마을 농촌 나무 꽃 풀 동물 고양이 강아지""".split()
ACTIONS = """연구 발표 설명 개발 사용 시작 결정 준비 공부 생각 주장 요구 제공 지원 확인 변경 설정 실행
설치 삭제 저장 선택 입력 출력 분석 평가 비교 검토 수정 작성 제출 신청 허가 금지 보호 관리 운영 참여 경험
이해 노력 성공 실패 감소 증가 확대 축소 강조 비판 반대 찬성""".split()
VERBS = """하 되 가 오 보 먹 마시 읽 쓰 알 살 만들 받 주 배우 가르치 만나 기다리 찾 얻 잃 믿 열 닫 놓 넣 잡
앉 서 자 일어나 나오 들어가 돌아오 떠나 보내 바꾸 고치 끝내 지내 느끼 생기 나타나 이루 남 웃 입 벗 씻 팔 사
타 내리 올리 움직이 지키 싸우 이기 지""".split()
ADJECTIVES = """좋 크 작 많 적 높 낮 길 짧 깊 넓 좁 밝 늦 싫 괜찮 필요하 중요하 다양하 가능하 복잡하 간단하
깨끗하 조용하 유명하 친절하 강하 약하 편하 심하 나쁘 바쁘 기쁘 슬프 아프 예쁘 있 없 재미있
맛있 멋있""".split()
ADVERBS = """매우 아주 다시 이미 아직 함께 모두 특히 가장 더 또 먼저 바로 결국 항상 자주 가끔 거의 조금 너무
정말 물론 오히려 여전히 실제로 따라서 그러나 하지만 그리고 또한 그래서 즉 만약 비록 점점 서로 직접 스스로
갑자기 천천히 빨리 열심히 제대로 별로 그냥 진짜""".split()
DETERMINERS = "이 그 저 한 두 세 어떤 모든 다른 새 여러 각 첫 이런 그런 어느 우리 내 같은".split()
SURNAMES = "김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 홍 전 고 문 손 배".split()
TAILS = "시 군 구 동 역 산 호 대학교 연구소 전자 은행 공원 마을 교 성 당".split()
# After a vowel / after a consonant / after ㄹ, where they differ.
PARTICLES = """에 에서 로/으로/로 도 와/과/과 에게 까지 부터 만 보다 에는 나/이나/이나 에서는 처럼
로서/으로서/로서 에도 라는/이라는/이라는 들이 들은 마다 조차 랑/이랑/이랑 로부터/으로부터/로부터 뿐만
든지/이든지/이든지""".split()
GENITIVES = "의 의 들의 와의/과의/과의 에서의".split()
COPULAS = """입니다 다/이다/이다 였습니다/이었습니다/이었습니다 예요/이에요/이에요 였다/이었다/이었다
라고_합니다/이라고_합니다/이라고_합니다 네요/이네요/이네요 죠/이죠/이죠""".split()
# How an ending joins its stem: see `conjugate`. `_` is a space.
FINAL = """ㅂ니다 았습니다 았다 아요 았어요 겠습니다 네요 지요 ㄹ까요? 지_않습니다 ㄹ_것입니다
았네요 지_않았다 던데요 ㄹ_수도_있습니다 거든요""".split()
VERB_FINAL = """ㄴ다 고_있다 고_있습니다 아야_합니다 ㄹ_수_있습니다 기로_했다
으려고_합니다 아_주세요""".split()
JOINING = """고 지만 으면 아서 았지만 으며 기_때문에 아도 았는데 으므로 으니까 거나 든지 아야 기보다 았고
았으며 았기_때문에""".split()
VERB_JOINING = "는데 도록 으면서 다가 으려면 자마자 느라 고_나서 기_위해 는_동안".split()
VERB_BEFORE_NOUN, ADJECTIVE_BEFORE_NOUN = "는 ㄴ ㄹ 던 았던".split(), "ㄴ 던 ㄹ 았던".split()
# A letter is a word: topic, subject, object, genitive, noun with particle, adverb, determiner, number,
# English word, verb before a noun, Joined clause, Final verb, Copula, Quotation.
KOREAN_TEMPLATES = """tgoF taoF vtpF spJtaF tgvoF dtpaF tgC vtC tpoJgoF aJtsF gvsF npsF etpoF teoF goF sF
aF F tC tQF tnoF pgovoF JtpsF vsvoJF sJF poJgC""".split()
# In English: determiner, noun, adjective, verb, preposition, adverb, name, conjunction.
ENGLISH_TEMPLATES = """dnvdn danvpdn xvdnpx dnpdnvan pdnxvdan xvadnr dansvpdn xandxvdn rdnvdn anvn dnvpanpdn
pnxvdn xv""".split()
ENGLISH = """time year way day thing world hand part eye place work week case point company number group
problem fact water room mother area money story month book job word issue side kind head house service
friend father power hour game line end member law car city name president team minute idea body information
back parent face level office door health person art war history party result change morning reason research
girl guy moment air teacher force education boy age policy music market sense nation plan college interest
death experience effect language model server file user data""".split()
ENGLISH_VERBS = """make take see come want look use find give tell work call try ask need feel become leave
put mean keep let begin help talk turn start show hear play run move like live believe hold bring happen
write provide sit stand lose pay meet include continue set learn change lead understand watch follow stop
create speak read allow add spend grow open walk win offer remember""".split()
ENGLISH_ADJECTIVES = """good new first last long great little own other old right big high different small
large next early young important few public bad same able late hard major better economic strong possible
whole free military true federal international full special""".split()
DETERMINERS_EN = "the the the a this that his her their our my its some every no each".split()
PREPOSITIONS = "of in to for with on at by from about into over after under between through without".split()
ENGLISH_ADVERBS = """often never always slowly quickly again only really perhaps still already soon clearly
mostly""".split()
COUNTERS = "년 월 일 명 개 % 원 시간 번 번째 분 년에 명이 개의 %가 원을".split()
MARKS = (".", ".", ".", ".", ".", ".", ".", "!", "~", "")
# fmt: on

ONSETS = "b br c ch cl d dr f fl g gr h j k l m n p pr qu r s sh sp st t th tr v w z".split()
CODAS = ("", "", "", "", "", "n", "r", "l", "s", "t", "m", "nd", "ck", "rd", "st", "ll", "ng")
INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
# How often each initial, medial and final (first: none) is in an invented syllable, in the order of Unicode.
INITIAL_WEIGHTS = (13, 1, 7, 8, 1, 7, 7, 7, 1, 12, 1, 18, 11, 1, 5, 3, 4, 4, 9)
MEDIAL_WEIGHTS = (20, 6, 1, 0, 11, 5, 6, 1, 12, 2, 0, 2, 2, 9, 1, 0, 2, 2, 7, 2, 14)
FINAL_WEIGHTS = (55, 6, 0, 0, 15, 0, 0, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5, 3, 0, 3, 0, 11, 0, 0, 0, 1, 0, 0)


def table(items: Sequence[T], weights: Sequence[int] | None = None, size: int = 1 << 14) -> list[T]:
    """Each item as often as its weight asks (by default Zipf's, by place): drawing is then one look-up."""
    weights = weights or [10**6 // (rank + 3) for rank in range(len(items))]
    total = sum(weights)
    shares = [(weight * size + total // 2) // total for weight in weights]
    return [item for item, share in zip(items, shares, strict=True) for _ in range(share)]
