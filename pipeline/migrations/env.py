from pipeline.catalog import Base
from pipeline.migrate import run

run(Base.metadata)
