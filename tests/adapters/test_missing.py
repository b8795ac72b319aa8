"""Without torch the adapter says what is to be installed; the library itself does without."""

import subprocess
import sys


def test_a_missing_torch_is_named_with_what_installs_it() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import xlabel\n"
        "try:\n    import xlabel.adapters.torch\n"
        "except xlabel.XlabelError as error:\n    print(error.exit_code, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "5 datasets for PyTorch need torch; pip install 'xlabel[torch]'\n"
