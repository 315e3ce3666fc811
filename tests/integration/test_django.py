"""Django: its templates look at what a value can do, and a proxy is what its object is."""

from __future__ import annotations

from typing import Any

import django
import pytest
from conftest import run_python

import ProxyPatternPool as ppp


class User:
    """What a template shows."""

    name = "Ann"

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def full_name(self) -> str:
        """Say the name, as templates call it."""
        return "Ann Other"


@pytest.fixture(scope="module")
def render() -> Any:
    """Give a function that renders a template of Django's, with some values."""
    from django.conf import settings
    from django.template import Context, Template

    backend = {"BACKEND": "django.template.backends.django.DjangoTemplates"}
    settings.configure(TEMPLATES=[backend])
    django.setup()
    return lambda text, **values: Template(text).render(Context(values))


@pytest.mark.parametrize("given", [{"obj": User()}, {"fun": User}, {"fun": lambda number: User(number)}])
def test_template(render: Any, given: dict[str, Any]) -> None:
    """A template shows attributes, calls methods, and doesn't call the proxy of what cannot be called."""
    user: Any = ppp.Proxy(**given, max_size=None)
    user._get_obj()
    assert render("{{ u.name }}, {{ u.full_name }}", u=user) == "Ann, Ann Other"


def test_template_of_containers_and_functions(render: Any) -> None:
    """A template loops over a proxied list, looks into a dict, asks for truth, and calls a function."""
    text = (
        "{% for x in xs %}{{ x }};{% endfor %}{{ d.key }}{% if none %}full{% else %}empty{% endif %}{{ f }}"
    )
    values = {"xs": [1, 2], "d": {"key": "v"}, "none": [], "f": lambda: "called"}
    assert render(text, **{name: ppp.Proxy(obj) for name, obj in values.items()}) == "1;2;vemptycalled"


def test_column_default() -> None:
    """A proxied value is a field's default as it is; a proxied function is called for each row."""
    done = run_python(
        """
        import django, ProxyPatternPool as ppp
        from django.conf import settings
        engine = "django.db.backends.sqlite3"
        settings.configure(DATABASES={"default": {"ENGINE": engine, "NAME": ":memory:"}})
        django.setup()
        from django.db import connection, models

        class Row(models.Model):
            plain = models.IntegerField(default=ppp.Proxy(7))
            called = models.IntegerField(default=ppp.Proxy(lambda: 8))
            class Meta:
                app_label = "rows"

        with connection.schema_editor() as editor:
            editor.create_model(Row)
        Row.objects.create()
        print(*Row.objects.values_list("plain", "called").get())
        """
    )
    assert done.stdout.split() == ["7", "8"], done.stderr
