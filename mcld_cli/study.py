"""The field's user studies: their page, and people's answers."""

from pathlib import Path

from mcld.errors import SettingsError
from mcld.evaluate.request import EvaluationRequest, list_results
from mcld_cli import console
from mcld_cli.options import Values


def make_study_page(folder: Path, requests: list[EvaluationRequest], asking: Values) -> None:
    """Write the page on which people judge results, and its key."""
    listings = [list_results(request) for request in requests]
    with console.importing():
        from mcld.evaluate.study import Plan, make_study

    given = {name.removeprefix("--"): value for name, value in asking.items() if value is not None}
    with console.progress("Reading pictures", "pictures") as count:
        made = make_study(folder, requests, listings, Plan(**given), count)
    key = made.key
    for note in made.notes:
        console.say(note)
    console.say(
        f"Study {key.study}: {len(key.judged)} pictures to judge, {len(key.compared)} comparisons,"
        f" {made.page.stat().st_size / 1e6:.1f} MB. Send out {made.page}, and nothing else of"
        f" {folder}. What people send back, put in a folder:"
    )
    console.show_command("mcld", "evaluate", "--study", folder, "--answers", "FOLDER")
    console.show_result(
        {
            "study": key.study,
            "page": made.page,
            "methods": list(key.methods),
            "judged": len(key.judged),
            "compared": len(key.compared),
            "notes": made.notes,
        }
    )


def show_answers(study: Path | None, folder: Path) -> None:
    """Print what people answered, and write it beside the key."""
    if study is None:
        raise SettingsError("--answers needs --study, the folder with the key to them")
    with console.importing():
        from mcld.evaluate.answers import read_answers, score_answers
        from mcld.evaluate.study_key import read_key

    key = read_key(study)
    answers, refused = read_answers(folder, key)
    for line in refused:
        console.say(line)
    scores = score_answers(key, answers, refused)
    path = scores.write(study)
    console.show_table(
        ["", "share", "95 % interval", "answers"],
        [
            [
                share.title,
                f"{share.value:.1%}",
                f"{share.low:.1%} … {share.high:.1%}",
                share.answers,
            ]
            for share in scores.shares
        ],
        whole=["share", "95 % interval", "answers"],
    )
    for line in scores.list_notes():
        console.say(line)
    console.say(f"What each means: docs/studies.md; all numbers: {path}")
    console.show_result(scores.describe())
