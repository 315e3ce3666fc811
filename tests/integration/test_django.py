"""Django: its templates and models look at what a value can do, and a proxy is what its object is."""

from __future__ import annotations

import pytest
from helpers import run_python

SETUP = """
import django, ProxyPatternPool as ppp
from django.conf import settings

engine, backend = "django.db.backends.sqlite3", "django.template.backends.django.DjangoTemplates"
databases = {"default": {"ENGINE": engine, "NAME": ":memory:"}}
settings.configure(DATABASES=databases, TEMPLATES=[{"BACKEND": backend}])
django.setup()
from django.db import connection, models
from django.template import Context, Template

def show(text, **values):
    print(Template(text).render(Context(values)))

class User:
    name = "Ann"
    def __init__(self, number=0):
        self.number = number
    def full_name(self):
        return "Ann Other"
"""
TEMPLATE = """
for given in [{"obj": User()}, {"fun": User}, {"fun": lambda number: User(number)}]:
    user = ppp.Proxy(**given, max_size=None)
    user._get_obj()
    show("{{ u.name }}, {{ u.full_name }}", u=user)
"""
CONTAINERS = """
values = {"xs": [1, 2], "d": {"key": "v"}, "none": [], "f": lambda: "called"}
text = "{% for x in xs %}{{ x }};{% endfor %}{{ d.key }} {% if none %}full{% else %}empty{% endif %} {{ f }}"
show(text, **{name: ppp.Proxy(obj) for name, obj in values.items()})
"""
COLUMNS = """
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


@pytest.mark.parametrize(
    ("program", "printed"),
    [(TEMPLATE, "Ann, Ann Other\n" * 3), (CONTAINERS, "1;2;v empty called\n"), (COLUMNS, "7 8\n")],
    ids=["objects", "containers and functions", "column defaults"],
)
def test_proxies_in_django(program: str, printed: str) -> None:
    """Templates and column defaults show a proxy's object, and call it only where it can be called."""
    done = run_python(SETUP + program)
    assert (done.stdout, done.stderr) == (printed, "")
