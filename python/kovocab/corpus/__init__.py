"""Text, wherever it lies.

In: a path, a glob, a URL, a list of them. Out: the files that these are, what identifies them, and how they are to be
read. It never opens one further than that takes, and never guesses a format: the suffix says it.

stores     buckets, web addresses, the hub: what is there, and its bytes
remote     a file behind a URL, read some requests ahead
files      which files a corpus is
contents   what identifies them, and whether they are still the same
archives   the files in a zip or a tar
paths      a column in a column: data[].ko
templates  a row of several columns as one document
settings   how documents are found in them
faults     what is wrong and where; a line read slowly
"""
