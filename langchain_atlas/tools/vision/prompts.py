"""The prompts of the stages. ``{query}`` and the names of earlier stages are put in."""

CHART = {
    "extract": (
        "Look at the chart in the image. Don't answer any question yet. Write down what it shows as data:\n"
        "1. the kind of chart, its title, and what each axis or column stands for, with units;\n"
        "2. a table with one row a point, bar, slice or line, and the value of each as exactly as the marks "
        "and grid lines allow. Write ~ before a value that you estimate.\n"
        "The data should be enough to answer this question later: {query}"
    ),
    "answer": (
        "These data were read from the chart in the image:\n\n"
        "{extract}\n\n"
        "Answer the question with them, and look at the image again where they are not enough. Calculate step"
        " by step where needed. End with a line that begins with 'Answer:' and gives the answer alone.\n\n"
        "Question: {query}"
    ),
}

COUNTING = {
    "list": (
        "List every object in the image that this question is about: {query}\n"
        "Go through the image from left to right and from top to bottom. One line an object, numbered: what "
        "it is, where it is (such as top left, or behind what), and what tells it from its neighbours. "
        "Objects that are partly hidden or cut off by the edge count too: mark them. Don't give a total."
    ),
    "count": (
        "These objects were listed from the image:\n\n"
        "{list}\n\n"
        "Compare the list with the image: strike out what was listed twice or does not belong, and add what "
        "is missing. Then answer the question by counting the lines that are left. End with a line that "
        "begins with 'Answer:' and gives the answer alone.\n\n"
        "Question: {query}"
    ),
}

GEOMETRY = {
    "extract": (
        "Describe the diagram in the image so exactly that someone could draw it again: the points with their"
        " letters, the segments, circles and angles; every length, angle and label that is written in it; "
        "what is marked as equal, parallel or perpendicular. Write down only what is drawn or written, not "
        "what follows from it, and do not solve anything. It belongs to this problem: {query}"
    ),
    "reason": (
        "A diagram shows:\n\n"
        "{extract}\n\n"
        "Solve the problem step by step, and name the theorem that each step uses. Take as given only what "
        "the diagram and the problem state. End with a line that begins with 'Answer:'.\n\n"
        "Problem: {query}"
    ),
    "check": (
        "Somebody solved a problem about the diagram in the image.\n\n"
        "Problem: {query}\n\n"
        "Diagram as it was read:\n"
        "{extract}\n\n"
        "Solution:\n"
        "{reason}\n\n"
        "Check it: does the reading agree with the image, does each step follow, is the arithmetic right, "
        "does the answer fit the picture? Name every mistake. End with a line that is either 'Verdict: right'"
        " or 'Verdict: wrong'."
    ),
    "correct": (
        "A solution to a problem about the diagram in the image was checked.\n\n"
        "Problem: {query}\n\n"
        "Diagram as it was read:\n"
        "{extract}\n\n"
        "Solution:\n"
        "{reason}\n\n"
        "Check:\n"
        "{check}\n\n"
        "Solve the problem again without these mistakes. End with a line that begins with 'Answer:'."
    ),
}

OCR = {
    "read": (
        "Write down all text in the image, letter by letter, in reading order and with its line breaks. Keep "
        "spelling, figures and punctuation as they are; write [?] for what can't be read. Nothing else."
    ),
    "answer": (
        "This text stands in the image:\n\n"
        "{read}\n\n"
        "Do with it what is asked; where a letter is unclear, look at the image again. Be brief.\n\n"
        "{query}"
    ),
}
