/* Stands in for flash-agent.exe: writes down what it was asked, and ends with the code that the test wrote for it, for
   every time that it is asked so (`words=1`), or for the second time (`words#2=1`) alone. */
#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
    char asked[512] = "", nth[520], line[512], *folder = words[0], *cut = strrchr(words[0], '\\');
    int code = 0, number, times = 0;
    FILE *file;

    if (cut) { /* the name of the folder that it lies in is its version */
        *cut = 0;
        cut = strrchr(folder, '\\');
        folder = cut ? cut + 1 : folder;
    }
    snprintf(asked, sizeof asked, "%s", folder);
    for (number = 1; number < count; number++) {
        strncat(asked, " ", sizeof asked - strlen(asked) - 1);
        strncat(asked, words[number], sizeof asked - strlen(asked) - 1);
    }
    if ((file = fopen("C:\\asked.txt", "a+"))) {
        fprintf(file, "%s\n", asked);
        rewind(file);
        while (fgets(line, sizeof line, file)) {
            line[strcspn(line, "\r\n")] = 0;
            times += !strcmp(line, asked);
        }
        fclose(file);
    }
    snprintf(nth, sizeof nth, "%s#%d", asked, times);
    if ((file = fopen("C:\\codes.txt", "r"))) {
        while (fgets(line, sizeof line, file)) {
            line[strcspn(line, "\r\n")] = 0;
            cut = strrchr(line, '=');
            if (cut) {
                *cut = 0;
                if (!strcmp(line, asked) || !strcmp(line, nth))
                    sscanf(cut + 1, "%d", &code);
            }
        }
        fclose(file);
    }
    return code;
}
