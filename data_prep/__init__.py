"""Sources → sprites → palette → prompt–completion pairs. Imports neither `finetune` nor `eval`."""
