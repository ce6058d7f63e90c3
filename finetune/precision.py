"""Which numbers a machine computes with quickly.

Only some processors have instructions for bfloat16 (Intel since Sapphire Rapids, AMD since Zen 4, newer ARM). On others torch
emulates it: a matrix product takes several times as long as in float32, where a GPU would be faster by it.
"""


def quick_dtype(device: str = "cpu") -> str:
    """'bfloat16' where the processor or GPU has instructions for it, else 'float32'. device: 'cpu' or 'cuda'."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    said = torch.cpu.get_capabilities()
    if said.get("architecture") == "x86_64":  # where the question below is answered with yes for AVX-512 without them, too
        return "bfloat16" if said.get("avx512_bf16") or said.get("amx_bf16") else "float32"
    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"


def cpu_attention(dtype: str, side: int) -> str:
    """Which attention trains quicker on a CPU: in bfloat16 plain products while rows are short, in float32 the fused kernel."""
    return "eager" if dtype == "bfloat16" and side <= 16 else "sdpa"


def slow_here(dtype: str, device: str = "cpu") -> str:
    """A line of advice where `dtype` is emulated on this machine, else ''."""
    if dtype != "bfloat16" or quick_dtype(device) == dtype:
        return ""
    return "this processor has no bfloat16 instructions: in float32 it would be several times as fast"
