"""One Trainer.fit a stage.

In: an expanded model, a mix, a plan of stages. Out: a plain folder a stage, verified. It never carries an optimizer
from one stage to the next.

fit               the verb, and the door of the others that train
checks            what it refuses before it trains
trainers          Trainers made afresh, and their errors as ours
callbacks         losses, plain lines, the seed of each step
finite            a loss or weight that is no number ends the stage
meters            learning rate, gradient norm, tokens a second; loggers
stage_evaluation  bits per byte at a stage's end
held_out          validate, test and predict
"""
