"""The runtimes that run models: a folder for each, with one file for boards and one for the converter."""
