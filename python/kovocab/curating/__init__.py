"""Tokens chosen by hand, on a page.

In: the folder that refine left, its word counts and base; the corpus, if it is there; a CSV of decisions. Out: a row a
candidate, its price, where it stands in the text, sums of any choice; a page on this machine; decisions, appended. It
never trains what refine has trained, and a flag takes nothing out.

curation    the candidates with all that is known of them; sums, prices, refine again
rows        the candidates as rows: what depends on what, stems
kinds       what kind of word a token is, by kiwipiepy
flags       what a person should look at
places      where candidates stand in the corpus
thresholds  the verb: what each min_count leaves
decided     decisions in the file that refine reads, only ever appended to
guard       who may ask the page's server
server      the page's server
"""
