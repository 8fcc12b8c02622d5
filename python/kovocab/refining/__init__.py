"""Tokens dropped and added until nothing changes.

In: word counts, a base, thresholds, a person's decisions. Out: a vocabulary with its merges, the target tokenizer, a
row a round, what became of each candidate. It never opens the corpus: word counts hold all it needs.

refine        the verb: drop and add to a fixpoint
settings      what it goes by
intermediate  what it begins with: words, a base, candidates of the intermediate tokenizer, which is learned here
candidates    candidates with their parts; a person's decisions
rounds        what the counts of a round decide
base_folder   what of a base's folder can be kept, seen before the work
refined       what comes out, saved and held to its promises
fates         what became of each candidate, for whoever looks again
recount       what the target of a round emits, from what the round before changed
"""
