"""Looking at images in stages: procedures, and tools that follow them."""

from langchain_atlas.tools.vision.stages import PROCEDURES, Procedure, Stage, Steps, final_answer, says_right
from langchain_atlas.tools.vision.tool import VisionTool

__all__ = ["PROCEDURES", "Procedure", "Stage", "Steps", "VisionTool", "final_answer", "says_right"]
