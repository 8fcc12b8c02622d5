"""Text, wherever it lies.

In: a path, a glob, a URL, a list of them, a frame, an iterable. Out: batches of documents in a fixed order, and each
fault by its file and place. It never knows what a tokenizer is, and never guesses a format: the suffix says it.

stores     buckets, web addresses, the hub: what is there, and its bytes
remote     a file behind a URL, read some requests ahead
files      which files a corpus is
contents   what identifies them, and whether they are still the same
blocks     a file of lines → blocks of whole lines, up to where it is damaged
tables     a Parquet file or a frame → documents
faults     what is wrong and where; a line read slowly
templates  a row of several columns as one document
settings   how documents are found in them
readers    several files of a corpus at a time
documents  a corpus → batches of documents
"""
