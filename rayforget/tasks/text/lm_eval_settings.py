"""A task's configuration and what the space asks for -> the splits that are read, and the examples in prompts."""

from collections.abc import Collection, Mapping
from typing import Any

from rayforget.errors import TaskError
from rayforget.space.tasks.lm_eval import LmEvalSplit, LmEvalTask

_SPLITS: dict[LmEvalSplit, str] = {"train": "training_split", "validation": "validation_split", "test": "test_split"}


def settled(config: dict[str, Any], task: LmEvalTask, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """The configuration with only the splits that are scored or give examples.

    On making the task, lm-eval reads every split that is named, including all of `train`.
    """
    if "class" in config:
        return _of_class(config, task)
    wanted = {task.cut.split} if task.cut else {split for split in (task.val, task.test) if split}
    shots = int(config.get("num_fewshot") or 0)
    changed = dict(config)
    if task.revision is not None:
        changed["dataset_kwargs"] = {**(config.get("dataset_kwargs") or {}), "revision": task.revision}
    for split, key in _SPLITS.items():
        own = config.get(key)
        if split in wanted:
            if own is None:
                own_splits = ", ".join(known for known, other in _SPLITS.items() if config.get(other)) or "none"
                raise TaskError(f"lm-eval's task {config['task']} has no split {split}; found {own_splits}")
            _require_file(config, own, data, why=f"its split {split}")
        elif not shots:
            changed[key] = None
    if not shots:
        changed["fewshot_split"] = None
        changed["fewshot_config"] = None
    else:
        changed |= _examples(config, task, {str(config[_SPLITS[split]]) for split in wanted}, data)
    if not changed.get("validation_split") and not changed.get("test_split"):
        changed["validation_split"] = changed["training_split"]  # lm-eval needs one of the two
    return changed


def _of_class(config: dict[str, Any], task: LmEvalTask) -> dict[str, Any]:
    """The configuration of a task that is a class: its functions say what splits and which data set it has."""
    for key, found in (("revision", task.revision), ("data_files", dict(task.data_files))):
        if found:
            raise TaskError(
                f"lm-eval's task {config['task']} is a class, which loads its own data set: remove {key}, or take a "
                "task that is a configuration"
            )
    return dict(config)


def with_shots(config: dict[str, Any], task: LmEvalTask) -> dict[str, Any]:
    """The configuration with the number of examples that the space asks for."""
    if task.num_fewshot is None:
        return config
    if task.num_fewshot and config.get("num_fewshot") == 0:
        raise TaskError(
            f"found {task.num_fewshot}, and lm-eval's task {config['task']} is defined without examples, as "
            "lm-eval insists on too: remove it"
        )
    return {**config, "num_fewshot": task.num_fewshot}


def _examples(
    config: Mapping[str, Any], task: LmEvalTask, scored: Collection[str], data: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The settings of a prompt's examples: their split, which must not show an item its own answer."""
    given = config.get("fewshot_config") or {}
    if given.get("samples"):
        changed: dict[str, Any] = {}
    else:
        split = given.get("split") or config.get("fewshot_split")
        split = split or next(filter(None, map(config.get, _SPLITS.values())), None)
        own_test = config.get("test_split")
        if split in scored and split != own_test and own_test is not None:
            raise TaskError(
                f"the examples of lm-eval's task {config['task']} come from {split}, which is scored too, so that "
                "an item's prompt could show its answer; score its split test alone (`cut: {split: test}`), or write "
                "num_fewshot: 0"
            )
        if split is not None:
            _require_file(config, split, data, why=f"the {config['num_fewshot']} examples in its prompt")
        # lm-eval leaves an item out of its own examples where these two are the same
        changed = {"fewshot_split": split} if split == own_test else {}
        if split in scored and own_test is None:
            changed = {"fewshot_split": split, "test_split": split}
    if data is not None:
        changed |= {key: None for key in _SPLITS.values() if changed.get(key, config.get(key)) not in data}
    return changed


def require_examples(loaded: Any) -> None:
    """Refuses more examples than there are.

    Raises:
        TaskError: says how many there are.
    """
    from lm_eval.api.samplers import ContextSampler

    shots, sampler = int(loaded.config.num_fewshot or 0), getattr(loaded, "sampler", None)
    if not shots or sampler is None:
        return
    # Where these are the same lm-eval draws one more, in case an item is its own example.
    spare = type(sampler) is ContextSampler and loaded.fewshot_cfg.split == loaded.config.test_split
    there = len(sampler.df) - spare
    if shots > there:
        raise TaskError(
            f"found {shots} for lm-eval's task {loaded.config.task}, which has {there} to draw examples from; write a "
            "smaller number"
        )


def _require_file(config: Mapping[str, Any], split: str, data: Mapping[str, Any] | None, *, why: str) -> None:
    if data is not None and split not in data:
        found = ", ".join(sorted(data))
        raise TaskError(f"found {found}; lm-eval's task {config['task']} needs `{split}: FILE` too, for {why}")
