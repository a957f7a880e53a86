"""Sweeps: many trainings whose settings a wandb sweep file draws, by wandb's server or by Optuna without one."""
