"""A run: its settings, its folder, its checkpoints.

In: the command line of a fit. Out: what each stage does, where its files lie, where it goes on. It never trains.

configuration     the command line of the verbs that train
help              its help: what people use first; help.txt, as it was recorded
messages          what is typed wrongly, in a line
stage_plan        what each stage of a run does, as data
folder            which stages are finished, which is begun
learning_rate     the learning rate over a stage
checkpoint_files  checkpoint files, written, read, looked over
stage_checkpoint  a stage goes on where it was stopped
processes         the processes of a run end together
"""
