import json

from app.intake.order import Order
from app.intake.reading import Reading
from models.finishing.options import FinishOptions
from models.options import build_options

READINGS = (Reading("smiles", "CCO", "a", 3), Reading("molblock", "text\n", "b", 3, 8))


def test_order_survives_json():
    finish = FinishOptions(relax="mmff94s", prune_rmsd=0.5, rank=True)
    order = Order("small", READINGS, 5, 3, build_options("etkdg", 7, kind="heun"), finish, "xyz")
    assert Order.from_values(json.loads(json.dumps(order.to_values()))) == order


def test_order_counts_stereoisomers_that_may_come():
    order = Order("small", READINGS, 5, 3, build_options("noise"), FinishOptions())
    assert order.most_conformers == 5 * (1 + 8)
    assert order.head["sampling"]["steps"] == 50
