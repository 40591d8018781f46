"""What an unknown key or choice is answered does not lead into the next error."""

import pytest

from helpers.tiny_runs import files_below

CASES = {
    "objective=vicreg objective.temperature.tau=0.1": "unknown key; VICReg has no temperature\n",
    "objective=vicreg objective.chunk=16": "unknown key; VICReg takes invariance, variance, covariance, epsilon\n",
    "objective=vicreg objective.weight=1": "unknown key; VICReg takes invariance, variance, covariance, epsilon\n",
    "objective=triplet objective.hardness=1": "did you mean objective.hardest?",
    "objective=vicreg,mse objective.invarance=1 --multirun": "did you mean objective.invariance?",
    "objectve=vicreg": "objectve: unknown key, did you mean objective?",
    "objectve.chunk=5": "did you mean objective.chunk?",
    "objective/temperture=fixed": "did you mean objective/temperature?",
    "recipe=fas": "clip: recipe=fas: no such choice, did you mean fast? There are fast, paper\n",
    "objective=foo": "clip: objective=foo: no such choice; choose from alignment_uniformity, anchor, barlow_twins",
    "objective/temperature=foo": "objective/temperature=foo: no such choice; choose from clamped, fixed, learned",
    "trainer=none": "clip: trainer=none: no such choice; choose from cpu, ddp, gpu\n",
    "hydra/launcher=joblib2": "clip: joblib2: not installed; pip install hydra-joblib-launcher brings it\n",
    "objective=sigmod": "objective=sigmod: no such choice, did you mean sigmoid?",
    "objective/temperature=fixd": "no such choice, did you mean fixed?",
    "objective=sigmoid objective/temperature=fixed objective.temperature.scale=1": "temperature=learned has it\n",
    "data=synthetic_linear,synthetic_nonlinear data.noise=0.3 --multirun": "(run data=synthetic_nonlinear)\n",
    "objective=sigmoid,uncertainty objective.scale=2,3 --multirun": "(run objective=sigmoid objective.scale=2)\n",
    "encoder=mlp,linear encoder.hidden_layers=2 --multirun": "encoder=mlp has it (run encoder=linear)\n",
    "objective=infonce,vicreg objective/temperature=fixed --multirun": "objective.temperature (run objective=vicreg)\n",
    "seed=0,1 encoder.output_dim=4,0 --multirun": "greater than 0 (run seed=0 encoder.output_dim=0)\n",
    "encoder.output_dim=0 --multirun": "greater than 0\n",
    "loss=sigmod": "the group loss is now called objective\n",
    "loss=sigmoid objective=vicreg": "loss is the earlier name of the group objective; give one of the two",
    "tuned=sigmoid objective=vicreg": "leave out one of the two, or choose tuned=vicreg",
    "search=sigmoid": "search=sigmoid: is the grid of experiment=objective_search",
}


@pytest.mark.parametrize("command", CASES)
def test_the_answer_is_the_right_one(command: str, command_line, capsys, tmp_path) -> None:
    before = files_below(tmp_path)
    assert command_line("train", "size=smoke", *command.split()) == 2
    assert CASES[command] in capsys.readouterr().err
    assert files_below(tmp_path) == before
