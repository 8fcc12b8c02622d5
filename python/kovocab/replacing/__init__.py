"""New tokens at the ids of old ones that no text needs.

In: what refine left, its words and base, word counts of texts that must not suffer. Out: a tokenizer of the base's
size, what went and what came, what each text pays. It never opens a corpus, and never trains.

replace   the verb: new tokens at old ids
settings  what it goes by
order     what each token cannot be made without, and which may go next
staying   tokens that never go
cost      what texts pay, encoded again where a token goes
choice    which go
exchange  the target of the base's size, of either file
promises  what it keeps, checked
replaced  what comes out, saved and held to its promises
"""
