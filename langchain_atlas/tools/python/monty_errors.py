"""What an error of Monty's says about a program: is it the program's, or does Monty lack something?"""

import builtins
import re
import sys

from langchain_atlas.tools.python.sandbox import Execution

MESSAGE = 500
"""Characters of an error message that are looked at for its cause."""

_UNSUPPORTED_PREFIX = "The monty syntax parser does not yet support "

_COMPARED = re.compile(r"'[<>]=?' not supported between instances")
_COMPARING = re.compile(r"^[ \t]+def[ \t]+__(?:lt|le|gt|ge)__\b", re.MULTILINE)
_NO_ATTRIBUTE = re.compile(r"(?:type object )?'(\w+)' (?:object )?has no attribute '(\w+)'")
_NO_MODULE_ATTRIBUTE = re.compile(r"module '(\w+)' has no attribute '(\w+)'")
_QUOTED = re.compile(r"'([^']+)'")


def passed_over(method: re.Match[str], program: str, index: int) -> Execution:
    """Return the error of a program with a method that Monty would pass over."""
    return Execution(
        error=f"NotImplementedError: classes with {method[1]} are not supported",
        line=program.count("\n", 0, method.start()) + 1,
        snippet=index,
        unsupported=f"the special method {method[1]}",
    )


def missing_feature(exception: BaseException, message: str, program: str) -> str | None:
    """Return what Python has and Monty lacks, if that is why a program failed.

    Args:
        exception: what was raised.
        message: its message, or the beginning of it.
        program: the program.
    """
    names = [*_QUOTED.findall(message), "", ""]
    feature = None
    match exception:
        case NotImplementedError() if message.startswith(_UNSUPPORTED_PREFIX):
            feature = message.removeprefix(_UNSUPPORTED_PREFIX)
        case PermissionError():
            feature = "access to files and the environment"
        case RuntimeError() if message.endswith("is not supported in this environment"):
            feature = names[0]
        case ModuleNotFoundError():
            feature = f"the module {names[0]}"
        case ImportError():
            feature = f"{names[1]}.{names[0]}"
        case TypeError() if _COMPARED.search(message) and _COMPARING.search(program):
            feature = "methods that compare, such as __lt__ (sort with a key instead)"
        case NameError() if hasattr(builtins, names[0]):
            feature = f"the built-in {names[0]}"
        case AttributeError() if _python_has_attribute(message):
            feature = ".".join(names[:2])
    return feature


def _python_has_attribute(message: str) -> bool:
    """Whether Python itself has the attribute that a message says is missing."""
    if match := _NO_MODULE_ATTRIBUTE.match(message):
        # Never import a module on a program's behalf; one that is not loaded here gets the benefit of the doubt.
        module = sys.modules.get(match[1])
        return module is None or hasattr(module, match[2])
    match = _NO_ATTRIBUTE.match(message)
    return match is not None and hasattr(getattr(builtins, match[1], None), match[2])
