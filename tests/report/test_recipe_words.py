from rayforget.report.words.recipes import distinguish, shorten_recipe


def test_nested_values_get_dotted_names() -> None:
    recipe = {
        "method": "l1",
        "learning_rate": 0.000312345,
        "adapter": {"kind": "lora", "rank": 8, "targets": ["q_proj", "v_proj"]},
        "penalties": [{"kind": "l1", "strength": 0.1}, {"kind": "kd", "strength": 2.0, "temperature": 1.0}],
        "clip_norm": None,
    }
    assert shorten_recipe(recipe) == {
        "method": "l1",
        "learning_rate": "0.000312",
        "adapter.kind": "lora",
        "adapter.rank": "8",
        "adapter.targets": "q_proj, v_proj",
        "penalties.l1.strength": "0.1",
        "penalties.kd.strength": "2",
        "penalties.kd.temperature": "1",
        "clip_norm": "None",
    }


def test_only_what_differs_tells_trials_apart() -> None:
    recipes = [{"method": "a", "lr": "1", "epochs": "5"}, {"method": "b", "lr": "2", "epochs": "5", "rank": "8"}]
    assert distinguish(recipes) == ["lr", "rank"]
    assert distinguish(recipes[:1]) == []
    assert distinguish([]) == []
