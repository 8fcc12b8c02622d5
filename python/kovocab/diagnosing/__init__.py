"""What is installed, and what is missing for which verb.

In: this machine. Out: what a person who helps wants to know of it. It never loads torch unless it is asked to, asks no
network, and tells no secret and no path.

diagnose  the verb: the machine, the engine, the packages, as lines or JSON
extras    what each extra brings, and what it is for
"""
