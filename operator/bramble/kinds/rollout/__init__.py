"""One model on one fleet: paced, watched, promoted or undone. (Written by the lead, not by H6: gather, plan, policies, analysis.)"""
