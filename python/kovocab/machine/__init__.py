"""What there is to work with.

In: nothing. Out: how much memory there is and may be used; what GPUs hold and compute; when to stop. It never knows
what for.

memory    how much there is, how much is used, and a bound from a size such as 4GB
threads   how many to work in
garbage   how often Python looks for objects that only hold each other
gpus      what GPUs hold and compute, by name
stopping  the signals that ask a run to stop
"""
