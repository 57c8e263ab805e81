from auth.tables import Base
from pipeline.migrate import run

run(Base.metadata)
