"""Words that show where a phrase begins, in the languages that are heard most. What is not here only makes breaks less good."""

_BEGINNING = """
and but or nor so because that which who where when while if although though unless until than
und aber oder denn sondern weil dass ob wenn obwohl damit
et mais ou donc car que qui parce quand lorsque si
y pero porque cuando aunque
e ma perché quando mas embora
maar want omdat dat als
i ale bo że
и а но что или если
"""  # noqa: RUF001
_LEANING = """
a an the of to in on at by for with from my your his her its our their and or but
der die das den dem des ein eine einen einem einer im am zu von mit für und oder
le la les un une des du de à au aux et ou
el los las una unos unas del al en y o con por
il lo gli di da dei della e
os as um uma do na no em
het een van op te
"""

CONJUNCTIONS = frozenset(_BEGINNING.split())
"""A phrase begins with them."""
LEANING = frozenset(_LEANING.split())
"""No phrase ends with them."""
