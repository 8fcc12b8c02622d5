"""A corpus counted once, exactly.

In: a corpus and the tokenizer that says where words end. Out: word counts as a file, and token counts derived from
them. It never opens a corpus a second time, and never holds more than its bound of memory.

count          the verb: corpus → word counts
one_pass       a corpus through the tally
tally          word counts within a bound of memory
resume         what is kept of a count, to go on after it was stopped
word_counts    word counts as a file, larger than memory or not
tables         word counts as they are read again and again, table by table
token_counts   word counts or a corpus → token counts
cluster        files → word counts, on many machines
cluster_tasks  what a machine of a cluster does of a count
"""
