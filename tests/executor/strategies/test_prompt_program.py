"""The form of prompt programs: what is none is refused in a sentence, what is one ends, and texts are data in it."""

from __future__ import annotations

import copy
import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import InputError
from coinfer.executor.strategies.programs import PromptStrategy, own_program
from coinfer.executor.strategies.prompt_program import FORMAT, PromptProgram, read_program
from coinfer.executor.strategies.strategy import Prior
from coinfer.testing.strategies import check_contract

PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, rate={"answer": 0.6}, output_s=0.01)
FOLDER = resources.files("coinfer.executor.strategies") / "prompt_programs"
SHIPPED = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.iterdir(), key=str)]


def ask(name: str, template: str = "{prompt}", **more: Any) -> dict[str, Any]:
    """Return a stage that asks."""
    return {"do": "ask", "name": name, "template": template, **more}


def loop(*stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a loop of these stages."""
    return {
        "do": "loop",
        "name": "l",
        "stages": stages,
        "until": "a",
        "ends": "yes",
        "goes_on": "no",
        "most": 3,
        **more,
    }


def branch(choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a branch with these choices."""
    return {"do": "branch", "name": "b", "on": "a", "choices": choices, "otherwise": "x", **more}


def data(*stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the content of a file."""
    return {"format": FORMAT, "name": "p", "stages": list(stages), "answer": "a", **more}


def program(*stages: dict[str, Any], **more: Any) -> PromptProgram:
    """Return a program."""
    content = data(*stages, **more)
    content.pop("format")
    return jsonfile.convert(content, PromptProgram, where="p.json")


def deep(levels: int) -> dict[str, Any]:
    """Return a loop in a loop in a loop."""
    made = ask("a")
    for _ in range(levels):
        made = loop(made, most=1)
    return made


REFUSED = [
    (data(ask("a", "{promt}")), r"stages\[0\]\.template: expected holes of prompt; found '\{promt\}'"),
    (data(ask("a"), ask("b", "{a} {c}")), r"stages\[1\]\.template: expected holes of prompt, a"),
    (data(ask("a", "{item}")), r"stages\[0\]\.template"),
    (data(ask("a", " ")), r"stages\[0\]\.template"),
    (data(ask("b")), r"answer: expected a result of a stage before it \(b\); found 'a'"),
    (data(ask("a", samples=3)), "answer: expected a result of one text"),
    (data(ask("a"), name="P q"), "name: expected lower-case"),
    (data(ask("prompt")), r"stages\[0\]\.name"),
    (data(ask("a b")), r"stages\[0\]\.name"),
    (data(), "stages: expected at least one stage"),
    (data(ask("a", role="reward")), r"stages\[0\]\.role"),
    (data(ask("a", samples=0)), r"stages\[0\]\.samples: expected a number in 1\.\.64; found 0"),
    (data(ask("a", samples="many")), r"stages\[0\]\.samples: expected a number, or the name of a setting"),
    (data(ask("a", samples=2.5)), r"stages\[0\]\.samples"),
    (data(ask("a", max_tokens=0)), r"stages\[0\]\.max_tokens"),
    (data(ask("a", each="b")), r"stages\[0\]\.each"),
    (data(ask("b"), ask("a", each="b")), r"stages\[1\]\.each: expected a result that holds several texts"),
    (data(ask("b", samples=2), ask("a", each="b", samples=2)), r"stages\[1\]\.samples: expected 1 with each"),
    (data(ask("a"), ask("a", samples=3)), r"stages\[1\]\.name: expected as many texts"),
    (data({"do": "vote", "name": "a", "over": ["c"]}), r"stages\[0\]\.over\[0\]"),
    (data({"do": "vote", "name": "a", "over": []}), r"stages\[0\]\.over"),
    (data(ask("b"), {"do": "vote", "name": "a", "over": ["b"], "weight": "probability"}), "asked for with logprobs"),
    (data(ask("a"), {"do": "extract", "name": "c", "source": "a", "how": "after"}), r"stages\[1\]\.mark"),
    (
        data(ask("a"), {"do": "extract", "name": "c", "source": "a", "how": "regex"}),
        "one of 'after', 'answer', 'lines'",
    ),
    (data(ask("a"), {"do": "rank", "name": "c", "source": "a"}), r"stages\[1\]\.source"),
    (data({"do": "search", "name": "s", "query": "{q}"}), r"stages\[0\]\.query"),
    (data(ask("a"), branch({"y": []})), r"stages\[1\]\.otherwise"),
    (data(ask("a"), branch({})), r"stages\[1\]\.choices"),
    (data(ask("a"), branch({"x": [], "X": []})), "choices that differ"),
    (data(ask("a"), branch({"x": [], " y": []})), "printable characters"),
    (data(ask("a"), branch({"x": []}, chances={"x": 0.5})), r"stages\[1\]\.chances"),
    (data(ask("a"), branch({"x": [ask("c")], "y": []}), ask("d", "{c}")), r"stages\[2\]\.template"),
    (data(ask("a"), branch({"x": [ask("c", "{z}")]})), r"stages\[1\]\.choices\.x\[0\]\.template"),
    (data(ask("a"), branch({"x": [ask("c")], "y": [ask("c", samples=2)]})), "every choice to give 'c'"),
    (data({key: value for key, value in loop(ask("a")).items() if key != "most"}), r"expected a field `most`"),
    (data(loop(ask("a"), most=1000)), r"stages\[0\]\.most"),
    (data(loop(ask("a"), until="c")), r"stages\[0\]\.until"),
    (data(loop(ask("a"), goes_on="YES")), "choices that differ"),
    (data(loop(ask("a"), chance=2)), r"stages\[0\]\.chance"),
    (data(loop()), r"stages\[0\]\.stages"),
    (data(loop(loop(ask("a"), most=60), most=60)), "at most 500 stages and calls in all; found 7,261"),
    (data(deep(9)), "nested at most 6 deep"),
    (data(deep(200)), "nested at most 6 deep"),
    (data(ask("a"), settings={"n": []}), "settings.n"),
    (data(ask("a"), settings={"n": [1, 1]}), "settings.n"),
    (data(ask("a"), settings={"n": [0]}), "settings.n"),
    (data(ask("a"), settings={"n": list(range(1, 9)), "m": [1, 2, 3, 4]}), "at most 24 combinations"),
    (data(ask("a", temprature=1)), r"known fields only"),
    (data({"do": "eval", "code": "1"}), r"stages\[0\]\.do: expected one of 'ask'"),
    ({"format": "coinfer/prompt-program/2"}, "format"),
]


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_what_is_no_program_is_refused_with_its_place(content: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Unknown names and holes, loops without a most, and calls without bound are one sentence each."""
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words) as error:
        read_program(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def names(value: Any) -> list[Any]:
    """Return all texts and numbers, the longest texts left out."""
    if isinstance(value, dict):
        return [each for key, item in value.items() for each in (key, *names(item))]
    if isinstance(value, list):
        return [each for item in value for each in names(item)]
    return [] if isinstance(value, str) and len(value) > 40 else [value]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return the text of a program with some values replaced, by junk or by others of its own, dropped or doubled."""
    content = copy.deepcopy(draw(st.sampled_from(SHIPPED)))
    junk = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=6) | st.just([])
    junk |= st.sampled_from(names(content)) | st.sampled_from(content["stages"])
    junk |= st.text("{}prompt item_a0.", max_size=12)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(content)))
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "replace", "drop", "double"]))
        if kind == "replace":
            holder[path[-1]] = copy.deepcopy(draw(junk))
        elif kind == "drop":
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder[f"{path[-1]}_"] = holder[path[-1]]
        if not places(content):
            break
    text = json.dumps(content)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(mutated())
def test_a_mutated_file_is_refused_in_a_sentence_or_is_a_program_that_keeps_the_contract(text: str) -> None:
    """Whatever is changed, there is no traceback; what is still a program ends within its own worst case."""
    try:
        content = jsonfile.parse(text, where="p.json")
        if not isinstance(content, dict):
            return
        content.pop("format", None)
        made = jsonfile.convert(content, PromptProgram, where="p.json")
    except InputError as error:
        assert "\n" not in str(error)
        return
    strategy = PromptStrategy(program=made, name=made.name)
    check_contract(strategy, PRIOR, runs=1, options=strategy.options(PRIOR)[-1:])


def test_a_program_is_read_as_it_is_written_and_known_by_its_content(tmp_path: Path) -> None:
    """Reading what was written gives the same; another word gives another name, another layout does not."""
    path = tmp_path / "mine.json"
    jsonfile.write(path, program(ask("a", "Say {prompt}"), name="mine"))
    first = own_program(path)
    assert first.program == program(ask("a", "Say {prompt}"), name="mine")
    path.write_text(json.dumps(data(ask("a", "Say {prompt}"), name="mine")))
    assert own_program(path).name == first.name
    path.write_text(json.dumps(data(ask("a", "Tell {prompt}"), name="mine")))
    other = own_program(path).name
    assert first.name.partition("@")[0] == other.partition("@")[0] == "mine"
    assert first.name != other


@pytest.mark.parametrize("content", SHIPPED, ids=lambda each: each["name"])
def test_the_schema_takes_the_programs_of_the_package(content: dict[str, Any]) -> None:
    """The exported JSON Schema is valid for them, and refuses another kind of stage."""
    schema = jsonfile.schema(PromptProgram, format_name=FORMAT)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "stages": [{"do": "dream"}]}, schema)
