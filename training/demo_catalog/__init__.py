"""The demo catalogue: drawn shoes in the layout of UT-Zap50K, for those who have no catalogue at hand yet.

facts = next(plan_shoes(1))        what the first shoe is
picture, row = draw_shoe(facts)    its picture and its row of meta-data.csv
draw_demo_catalog(folder)          2,000 shoes on disk
"""

from training.demo_catalog.attributes import ShoeFacts, plan_shoes
from training.demo_catalog.catalog import draw_demo_catalog
from training.demo_catalog.shoe import draw_shoe

__all__ = ["ShoeFacts", "draw_demo_catalog", "draw_shoe", "plan_shoes"]
