"""Looking at images in stages: procedures, and tools that follow them."""

from langchain_atlas.tools.vision.stages import PROCEDURES, Procedure, Stage, Steps, says_right, stage_answer
from langchain_atlas.tools.vision.tool import VisionTool

__all__ = ["PROCEDURES", "Procedure", "Stage", "Steps", "VisionTool", "says_right", "stage_answer"]
