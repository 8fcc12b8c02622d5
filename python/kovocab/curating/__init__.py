"""Tokens chosen by hand, on a page.

In: the folder that refine left, its word counts and base; the corpus, if it is there; a CSV of decisions. Out: a row a
candidate, its price, where it stands in the text, sums of any choice; a page on this machine; decisions, appended. It
never trains what refine has trained, and a flag takes nothing out.

curation    the candidates with all that is known of them
labels      what a token's text tells: its stem, flags to look at, and its kind, by kiwipiepy
choices     what a choice of candidates comes to: sums, prices, the curve, refine again
places      where candidates stand in the corpus
thresholds  the verb: what each min_count leaves
decided     decisions in the file that refine reads, only ever appended to
work        work that takes long, in threads of its own
session     what the pages of one server share
server      the page's server, and who may ask it
"""
