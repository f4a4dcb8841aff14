"""What is told of accelerators that this machine need not have."""

import pytest
import torch

from mcld.machine.accelerator import is_discrete, is_failure, ran_out_of_memory

APPLE = "MPS backend out of memory (MPS allocated: 9.00 GiB, max allowed: 9.07 GiB)."


@pytest.mark.parametrize(
    ("error", "memory", "failure"),
    [
        (torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB"), True, True),
        (RuntimeError(APPLE), True, True),
        (RuntimeError("Invalid buffer size: 24.00 GiB"), True, False),
        (RuntimeError("HIP error: invalid device function"), False, True),
        (NotImplementedError("The operator 'aten::x' is not for the MPS device"), False, True),
        (RuntimeError("shapes do not match"), False, False),
    ],
    ids=str,
)
def test_memory_that_ran_out_and_a_gpu_that_failed_are_told_from_faults_of_ours(
    error, memory, failure
):
    assert ran_out_of_memory(error) == memory
    assert is_failure(error) == failure


def test_apples_gpus_have_no_memory_of_their_own():
    assert [is_discrete(torch.device(name)) for name in ("cuda:1", "xpu", "mps", "cpu")] == [
        True,
        True,
        False,
        False,
    ]
